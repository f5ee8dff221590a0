"""The lines of a backup: each is one JSON object that stands by itself, and a backup is a file of them."""

from typing import Literal

import msgspec


class Head(msgspec.Struct, frozen=True, tag="moodwire-backup"):
    """The first line."""

    format: Literal[1]
    made: str
    """RFC 3339."""
    version: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What each line about a device has."""

    device: str
    generation: int


class DeviceLine(Line, frozen=True, kw_only=True, tag="device"):
    """A device, or the marker of one that was erased; times in Unix ms, 0 for none."""

    erased_at: int
    first_seen: int
    last_seen: int
    name: str
    state: str
    labels: str
    model: str
    version: str


class BootLine(Line, frozen=True, kw_only=True, tag="boot"):
    """Which sequence numbers of a boot are stored, so that a device that sends one again hears that it is."""

    boot: str
    first_at: int
    last_at: int
    first_arrival: int
    last_arrival: int
    seen: list[tuple[int, int]]
    """First and last of each row of numbers."""


class Kind(msgspec.Struct, frozen=True):
    """What the scores of readings mean."""

    model: str
    span_ms: int
    labels: list[str]


class ReadingRow(msgspec.Struct, frozen=True, array_like=True):
    """One reading."""

    at: int
    state: Literal["speech", "uncertain"]
    level_dbfs: float
    clock_synced: bool
    scores: list[float]
    """In the order of the labels."""


class ReadingsLine(Line, frozen=True, kw_only=True, tag="readings"):
    """All readings of one kind and hour."""

    kind: Kind
    rows: list[ReadingRow]


class HeardRow(msgspec.Struct, frozen=True, array_like=True):
    """One heard record."""

    at: int
    span_ms: int
    windows: int
    silent: int
    speech: int
    uncertain: int
    dropped: int
    level_dbfs: float
    clipping: float


class HeardLine(Line, frozen=True, kw_only=True, tag="heard"):
    """All heard records of six hours."""

    rows: list[HeardRow]


class EventsLine(Line, frozen=True, kw_only=True, tag="events"):
    """Entries of a device's history: id, kind and model."""

    rows: list[tuple[str, str, str]]


class RollupsLine(Line, frozen=True, kw_only=True, tag="rollups"):
    """Rollups of one kind in one group: slot, and its sums in the order of `rollups.lua`."""

    kind: Kind
    level: str
    """`m`, `h` or `d`, for minutes, hours and days."""
    group: int
    rows: list[tuple[int, list[int]]]


class End(msgspec.Struct, frozen=True, tag="end"):
    """The last line; a file without it has been cut off."""

    devices: int
    readings: int


AnyLine = Head | DeviceLine | BootLine | ReadingsLine | HeardLine | EventsLine | RollupsLine | End
