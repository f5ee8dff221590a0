"""The format of a backup: a file of lines, each a JSON object that is complete in itself.

Every value has the bounds that it has on the wire. What one line alone cannot show, `backup_check` checks.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from broker.messages import (
    Boot,
    Decibel,
    DeviceState,
    EraseGeneration,
    Label,
    Probability,
    ReadingState,
    Seq,
    ShortText,
    UnixMs,
)

LONGEST_LINE = 2**25
"""Bytes: more memory than a line's would be taken to read one that is longer."""
MOST_ROWS = 100_000
"""Records in a line; more of one hour are divided."""
MOST_RUNS = 1_000_000
"""Runs of sequence numbers in a line: the last ones of a boot."""
HIGHEST_COUNT = 2**40

Count = Annotated[int, Meta(ge=0, le=HIGHEST_COUNT)]
Device = Annotated[str, Meta(pattern=r"^[0-9a-f]{12}\Z")]
EventId = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,13}-[0-9]{1,9}\Z")]
Labels = Annotated[str, Meta(pattern=r"^([A-Z][A-Z0-9_]{0,15}(,[A-Z][A-Z0-9_]{0,15}){0,15})?\Z")]


class Kind(msgspec.Struct, frozen=True):
    """What the scores of readings mean."""

    model: ShortText
    span_ms: Annotated[int, Meta(ge=1, le=600_000)]
    labels: Annotated[tuple[Label, ...], Meta(min_length=1, max_length=16)]
    """Sorted."""


class Head(msgspec.Struct, frozen=True, tag="moodwire-backup"):
    """The first line."""

    format: Literal[1]
    made: str
    """RFC 3339."""
    version: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What every line about a device has."""

    device: Device
    generation: EraseGeneration


class DeviceLine(Line, frozen=True, kw_only=True, tag="device"):
    """A device, or the marker of one that was erased; times in Unix ms, 0 for none."""

    erased_at: UnixMs
    first_seen: UnixMs
    last_seen: UnixMs
    name: ShortText
    state: Literal["", DeviceState]
    labels: Labels
    model: ShortText
    version: ShortText


class BootLine(Line, frozen=True, kw_only=True, tag="boot"):
    """The stored sequence numbers of a boot; a device that sends one again is told that it is stored."""

    boot: Boot
    first_at: UnixMs
    last_at: UnixMs
    first_arrival: UnixMs
    last_arrival: UnixMs
    seen: Annotated[list[tuple[Seq, Seq]], Meta(min_length=1, max_length=MOST_RUNS)]
    """First and last of each run of numbers."""
    records: Count = 0
    """Also those whose numbers have expired from `seen`; 0 in backups from before 0.3.0."""
    lowest: Seq | None = None
    highest: Seq | None = None


class ReadingRow(msgspec.Struct, frozen=True, array_like=True):
    """One reading."""

    at: UnixMs
    state: ReadingState
    level_dbfs: Decibel
    clock_synced: bool
    scores: list[Probability]
    """In the order of the labels."""


class ReadingsLine(Line, frozen=True, kw_only=True, tag="readings"):
    """Readings of one schema and hour."""

    schema: Kind = msgspec.field(name="kind")
    rows: Annotated[list[ReadingRow], Meta(max_length=MOST_ROWS)]


class HeardRow(msgspec.Struct, frozen=True, array_like=True):
    """One heard record."""

    at: UnixMs
    span_ms: Annotated[int, Meta(ge=1, le=2**32)]
    windows: Count
    silent: Count
    speech: Count
    uncertain: Count
    dropped: Count
    level_dbfs: Decibel
    clipping: Probability
    snr_db: Annotated[float, Meta(ge=0, le=120)] | None = None
    paused: bool = False


class HeardLine(Line, frozen=True, kw_only=True, tag="heard"):
    """Heard records of six hours."""

    rows: Annotated[list[HeardRow], Meta(max_length=MOST_ROWS)]


class EventsLine(Line, frozen=True, kw_only=True, tag="events"):
    """Events of a device: id, kind and model."""

    rows: Annotated[list[tuple[EventId, DeviceState, ShortText]], Meta(max_length=MOST_ROWS)]


class RollupsLine(Line, frozen=True, kw_only=True, tag="rollups"):
    """Rollups of one schema in one key: slot, and its sums in the order of `rollups.lua`."""

    schema: Kind = msgspec.field(name="kind")
    resolution: Literal["m", "h", "d"] = msgspec.field(name="level")
    """Minutes, hours or days."""
    group: Annotated[int, Meta(ge=0, le=2**32)]
    """Number of the key of rollups."""
    rows: Annotated[list[tuple[Annotated[int, Meta(ge=0, lt=64)], list[Count]]], Meta(max_length=64)]


class End(msgspec.Struct, frozen=True, tag="end"):
    """The last line; a file without it is cut off."""

    devices: Count
    readings: Count


AnyLine = Head | DeviceLine | BootLine | ReadingsLine | HeardLine | EventsLine | RollupsLine | End
