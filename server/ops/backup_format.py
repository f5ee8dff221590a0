"""The format of a backup: a file of lines, each a JSON object that is complete in itself."""

from typing import Literal

import msgspec

from server.store.types import Schema


class Head(msgspec.Struct, frozen=True, tag="moodwire-backup"):
    """The first line."""

    format: Literal[1]
    made: str
    """RFC 3339."""
    version: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What every line about a device has."""

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
    """The stored sequence numbers of a boot; a device that sends one again is told that it is stored."""

    boot: str
    first_at: int
    last_at: int
    first_arrival: int
    last_arrival: int
    seen: list[tuple[int, int]]
    """First and last of each run of numbers."""
    records: int = 0
    """Also those whose numbers have expired from `seen`; 0 in backups from before 0.3.0."""
    lowest: int | None = None
    highest: int | None = None


class ReadingRow(msgspec.Struct, frozen=True, array_like=True):
    """One reading."""

    at: int
    state: Literal["speech", "uncertain"]
    level_dbfs: float
    clock_synced: bool
    scores: list[float]
    """In the order of the labels."""


class ReadingsLine(Line, frozen=True, kw_only=True, tag="readings"):
    """All readings of one schema and hour."""

    schema: Schema = msgspec.field(name="kind")
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
    snr_db: float | None = None
    paused: bool = False


class HeardLine(Line, frozen=True, kw_only=True, tag="heard"):
    """All heard records of six hours."""

    rows: list[HeardRow]


class EventsLine(Line, frozen=True, kw_only=True, tag="events"):
    """Events of a device: id, kind and model."""

    rows: list[tuple[str, str, str]]


class RollupsLine(Line, frozen=True, kw_only=True, tag="rollups"):
    """Rollups of one schema in one key: slot, and its sums in the order of `rollups.lua`."""

    schema: Schema = msgspec.field(name="kind")
    resolution: str = msgspec.field(name="level")
    """`m`, `h` or `d`, for minutes, hours and days."""
    group: int
    """Number of the key of rollups."""
    rows: list[tuple[int, list[int]]]


class End(msgspec.Struct, frozen=True, tag="end"):
    """The last line; a file without it is cut off."""

    devices: int
    readings: int


AnyLine = Head | DeviceLine | BootLine | ReadingsLine | HeardLine | EventsLine | RollupsLine | End
