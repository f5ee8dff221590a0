"""What the store takes and returns: messages and their outcomes, readings, devices, their boots and events."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from broker import messages

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

Word = str | int | bytes
"""Part of a command to the store."""
Execute = Callable[..., Any]
"""Sends one command, given as its words, and returns the reply; raises `StoreAwayError`."""
ExecuteAll = Callable[[Sequence[Sequence[Word]]], list[Any]]
"""Sends several commands and returns their replies; raises `StoreAwayError`."""

OutcomeKind = Literal["stored", "repeat", "expired", "erased", "refused", "later", "stale"]


DeviceMessage = messages.Reading | messages.Heard | messages.Status | messages.Health | messages.CommandResponse
"""What a device sends and the store keeps."""


class Clock(NamedTuple):
    """What a writer knows of the time; the store's own clock decides, but not if others contradict it."""

    now_ms: int = 0
    """The writer's clock, Unix ms; 0: do not compare."""
    is_vouched_for: bool = True
    """Whether others agree with the store's clock, so that a record may be called too old."""


class Outcome(NamedTuple):
    """What became of one message."""

    kind: OutcomeKind
    reason: str = ""


PendingWrite = Callable[[], list[Outcome | None]]
"""Waits until a batch is on disk and returns the outcome of each message; call it once, from any thread.

None: the store could not write this message; write it again. Raises `StoreAwayError`.
"""


@dataclass(frozen=True)
class Schema:
    """What the scores of readings mean."""

    model: str
    span_ms: int
    labels: tuple[str, ...]
    """Sorted."""


@dataclass(frozen=True)
class Readings:
    """Readings of one schema, in no order."""

    schema: Schema
    at: Ints
    """Unix ms, shape (n,)."""
    speech: NDArray[np.bool_]
    """False where the device was uncertain, shape (n,)."""
    level_dbfs: Floats
    scores: Floats
    """Shape (n, labels)."""


class HeardSpans(NamedTuple):
    """Times and counts of heard records, ordered by end; times in Unix ms, each of shape (n,)."""

    start: Ints
    end: Ints
    windows: Ints
    silent: Ints
    speech: Ints
    uncertain: Ints
    dropped: Ints
    level_dbfs: Floats
    clipping: Floats
    """Share of samples at full scale."""
    snr_db: Floats
    """How far speech stood above the background; nan where there was no speech."""
    paused: NDArray[np.bool_]


class Boot(NamedTuple):
    """What is stored of one start of a device process."""

    boot: str
    first_at: int
    """Unix ms, like last_at."""
    last_at: int
    records: int
    missing: int
    """Sequence numbers below the highest that are not stored."""
    lowest: int
    """The first sequence number that is stored."""
    highest: int
    """The last one."""
    first_arrival: int
    """Unix ms by the store's clock, like last_arrival."""
    last_arrival: int


class BootSequences(NamedTuple):
    """The sequence numbers of one boot: what has arrived, and what has not."""

    boot: Boot
    known_from: int
    """From this number on it is known which are missing; of earlier ones only the count may be kept."""
    missing: list[tuple[int, int]]
    """First and last of each run of numbers that are not stored, in order; of many, the last ones."""
    more: bool
    """Whether there are more runs than `missing` holds."""


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
    """The last erasure, if any; nothing of the device is older."""
    latest: Latest | None
    health: dict[str, Any] | None


@dataclass(frozen=True)
class Fleet:
    """All listed devices in numbers."""

    states: dict[str, int]
    """Devices by their last status: online, offline, paused; unknown for those without one."""
    readings: int
    """Stored readings; an erasure lowers the number."""


@dataclass(frozen=True)
class IngestState:
    """What a running ingest says of itself with each heartbeat."""

    account: str = ""
    """At the broker."""
    doubt: str = ""
    """Why ingest does not believe the store's clock and confirms nothing; empty if it does."""
    told: str = ""
    """What the broker tells devices of the server, as ingest hears it: a payload, empty for none."""


@dataclass(frozen=True)
class Receipt:
    """An erasure that has happened."""

    device: str
    generation: int
    records: int
    """Readings and heard records that were stored since the last erasure."""
    erased_at: int
    """Unix ms."""
    command: str
    """Id of the command that tells the device."""
