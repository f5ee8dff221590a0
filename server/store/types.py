"""The store as ingest and REST see it: what it keeps, and what can be asked of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from broker import messages
from server.store import layout
from server.store.command_queue import CommandQueue
from server.store.live_stream import Feed
from server.store.tokens import Tokens

Kind = Literal["stored", "repeat", "expired", "erased", "refused", "stale"]


Written = messages.Reading | messages.Heard | messages.Status | messages.Health | messages.CommandResponse
"""What a device sends and the store takes."""


class Outcome(NamedTuple):
    """What became of one message."""

    kind: Kind
    reason: str = ""


Writing = Callable[[], list[Outcome | None]]
"""Waits until what was sent is on disk, and returns what became of each message; to be called once, from any thread.

None means that the store could not write that one and it is to be written again. Raises `StoreAwayError`.
"""


class Event(NamedTuple):
    """A device said that it is online, offline or paused, or has another model."""

    at: int
    """Unix ms by the store's clock."""
    kind: str


class Change(NamedTuple):
    """An entry of a device's history: it said in which state it is, and with which model."""

    id: str
    """Orders the changes of a device; given as `after`, the ones behind it follow."""
    at: int
    """Unix ms by the store's clock."""
    state: str
    model: str


class Latest(NamedTuple):
    """A device's newest reading."""

    at: int
    state: Literal["speech", "uncertain"]
    scores: dict[str, float]
    level_dbfs: float


@dataclass(frozen=True)
class Device:
    """What the store knows of a device; times in Unix ms."""

    id: str
    name: str
    state: str
    labels: tuple[str, ...]
    model: str
    version: str
    first_seen: int
    last_seen: int | None
    readings: int
    generation: int
    erased_at: int | None
    """When it was erased last, if ever; nothing of it is older."""
    latest: Latest | None
    health: dict[str, Any] | None


@dataclass(frozen=True)
class Fleet:
    """All listed devices in numbers."""

    states: dict[str, int]
    """Devices by what they said last: online, offline, paused; unknown for those that have said nothing."""
    readings: int
    """That are stored; falls when some are erased."""


@dataclass(frozen=True)
class Receipt:
    """An erasure that has happened."""

    device: str
    generation: int
    records: int
    """Readings and heard records that were stored since the last erasure."""
    erased_at: int
    """Unix ms."""
    job: str
    """Id of the job that tells the device."""


@dataclass(frozen=True)
class Job:
    """Something that ingest shall publish: the device's generation after an erasure."""

    id: str
    device: str
    generation: int


class Store(Protocol):
    """What ingest and REST ask of a store.

    Every method raises `StoreAwayError` when the store cannot answer.
    """

    @property
    def tokens(self) -> Tokens:
        """Who may use REST."""

    @property
    def feed(self) -> Feed:
        """What happens now, for listeners; each of these keeps what it notes until it is told."""

    @property
    def commands(self) -> CommandQueue:
        """What operators ask of devices; each of these looks through all of them in its own time."""

    def ask(self, *command: str | int | bytes) -> Any:
        """Send one command and return its reply, for those who keep something of their own beside the devices."""

    def prepare(self) -> None:
        """Make the store ready to be written; raises `UnusableError` if it cannot keep what it confirms."""

    def now(self) -> int:
        """Return the store's clock, Unix ms."""

    def send(self, batch: Sequence[tuple[str, Written]], beside: Sequence[Sequence[str | int | bytes]] = ()) -> Writing:
        """Send (device, message) pairs to be written.

        What is sent before the answer to something else may overtake that. Commands of others that go the same way,
        `beside`, cost no synchronisation of their own.
        """

    def devices(self, after: str, limit: int) -> list[Device]:
        """Return up to so many listed devices whose ids follow the given one."""

    def device(self, device: str) -> Device | None:
        """Return one listed device."""

    def boots(self, device: str) -> list[layout.Boot]:
        """Return the boots that have records, oldest first."""

    def first_day(self, device: str) -> int | None:
        """Return the start of the first day that holds anything, Unix ms."""

    def readings(self, device: str, start: int, end: int) -> list[layout.Readings]:
        """Return readings of start <= at < end (Unix ms), one table for each schema."""

    def rollups(self, device: str, level: layout.Level, start: int, end: int) -> list[layout.Rollups]:
        """Return rollups whose slots begin in start <= at < end (Unix ms), in tables of one schema each."""

    def totals(self, device: str, start: int, end: int) -> list[layout.Rollups]:
        """Return the days, hours and minutes that make up a range of whole minutes (Unix ms)."""

    def heard(self, device: str, start: int, end: int) -> layout.HeardSpans:
        """Return the heard spans that end in start < end <= end (Unix ms), in order."""

    def events(self, device: str, start: int, end: int) -> list[Event]:
        """Return the last event before the range and those in it, in order."""

    def changes(self, device: str, start: int, end: int, after: str, limit: int) -> tuple[Change | None, list[Change]]:
        """Return up to so many changes in start <= at < end (Unix ms) behind the given id, and the one before them.

        Args:
            device: Device id.
            start: Unix ms, as end.
            end: Not included.
            after: Id of a change, or empty for all of the range.
            limit: At least 1.
        """

    def erase(self, device: str) -> Receipt:
        """Erase everything of a device but its next generation, and queue the job that tells the device."""

    def jobs(self) -> list[Job]:
        """Return the jobs that wait, oldest first."""

    def finish(self, job: Job) -> None:
        """Forget a job that has been carried out."""

    def generation(self, device: str) -> int:
        """Return the erase generation of a device; 0 for an unknown one."""

    def beat(self, lifetime_s: int, malformed: int = 0) -> None:
        """Say that ingest is there, for so long, what became of the records since, and how many could not be read."""

    def fleet(self) -> Fleet:
        """Return all listed devices in numbers."""

    def written(self) -> dict[str, int]:
        """Return how many records have ever ended as what, by the kind of their outcome; seconds behind `write`."""

    def ingest_is_there(self) -> bool:
        """Return whether ingest has said lately that it is there."""
