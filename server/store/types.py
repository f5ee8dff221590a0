"""What the store takes and returns: messages of devices, outcomes, devices and their events."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from broker import messages

OutcomeKind = Literal["stored", "repeat", "expired", "erased", "refused", "stale"]


DeviceMessage = messages.Reading | messages.Heard | messages.Status | messages.Health | messages.CommandResponse
"""What a device sends and the store keeps."""


class Outcome(NamedTuple):
    """What became of one message."""

    kind: OutcomeKind
    reason: str = ""


PendingWrite = Callable[[], list[Outcome | None]]
"""Waits until what was sent is on disk, and returns what became of each message; to be called once, from any thread.

None means that the store could not write that one and it is to be written again. Raises `StoreAwayError`.
"""


class DeviceEvent(NamedTuple):
    """A device said in which state it is, and with which model."""

    id: str
    """Orders the events of a device; given as `after`, it selects those that follow."""
    at: int
    """Unix ms by the store's clock."""
    state: str
    """online, offline or paused."""
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
