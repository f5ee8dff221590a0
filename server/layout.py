"""The bytes of the store: names of keys, and how records are packed and read back; `store.lua` is the writing half.

Everything of one device hangs on `mw:{<id>}`, so that a Redis Cluster keeps it on one node:

| key                | type   | what                                                                             |
|--------------------|--------|----------------------------------------------------------------------------------|
| `mw:{id}`          | hash   | generation, counts, times, latest reading, and what the device says of itself    |
| `…:boots`          | hash   | boot → index, first and last time, records, lowest and highest sequence number   |
| `…:seen:<index>`   | bitmap | which sequence numbers of that boot are stored                                   |
| `…:schemas`        | hash   | model, span and labels → number of that kind of reading                          |
| `…:r:<chunk>`      | hash   | readings of 300 s: offset, seq and boot → schema, flags, level, scores           |
| `…:heard:<chunk>`  | hash   | heard records of 6 h                                                             |
| `…:m:`, `:h:`, `:d:` | hash | minutes of one hour, hours of one day, days of 64: slot and schema → rollup      |
| `…:days`           | zset   | days that hold anything                                                          |
| `…:events`         | stream | online, offline, paused                                                          |
| `mw:devices`       | zset   | every device id ever met                                                         |
| `mw:jobs`          | stream | what REST asks of ingest                                                         |
| `mw:ingest`        | string | expires; there while ingest is                                                   |
| `mw:tokens`        | hash   | role → SHA-256 of its bearer token                                               |
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from broker import messages

DEVICES = "mw:devices"
JOBS = "mw:jobs"
HEARTBEAT = "mw:ingest"
TOKENS = "mw:tokens"

CHUNK_MS = 300_000
HEARD_CHUNK_MS = 21_600_000
DAY_MS = 86_400_000
SCORE_UNITS = 10_000
"""A score is kept as a whole number of ten-thousandths."""

_LEVEL_OFFSET_DBFS = 120.0
_LEVEL_UNITS_PER_DB = 2
_SPEECH = 1
_CLOCK_SYNCED = 2
_BOOT = struct.Struct("<IddIII")
_HEARD = struct.Struct(">IIIIIIBH")
_MOST = 2**32 - 1
_SEQ_BITS = 26

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Table = NDArray[np.void]


class Level(NamedTuple):
    """One width of rollup."""

    name: str
    slot_ms: int
    slots: int
    """Slots in one key."""


MINUTE = Level("m", 60_000, 60)
HOUR = Level("h", 3_600_000, 24)
DAY = Level("d", DAY_MS, 64)


@dataclass(frozen=True)
class Schema:
    """One kind of reading: what its scores mean."""

    model: str
    span_ms: int
    labels: tuple[str, ...]
    """Sorted."""


class Boot(NamedTuple):
    """What is stored of one start of a device process."""

    boot: str
    first_at: int
    """Unix ms, like last_at."""
    last_at: int
    records: int
    missing: int
    """Sequence numbers below the highest that are not stored."""


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


@dataclass(frozen=True)
class Rollups:
    """Minutes, hours or days of one schema, in no order."""

    schema: Schema
    at: Ints
    """Start of the slot, Unix ms, shape (n,)."""
    table: Table
    """Fields `count`, `uncertain`, and per label `sum`, `won_sum`, `min`, `max` (ten-thousandths), `all`, `won`."""


def base(device: str) -> str:
    """Return the key of a device's hash, which is the start of all its keys."""
    return f"mw:{{{device}}}"


def schema_text(reading: messages.Reading) -> str:
    """Return the schema of a reading as the store keeps it."""
    return "\n".join([reading.model, str(reading.span_ms), ",".join(sorted(reading.scores))])


def schema(text: str) -> Schema:
    """Read back what `schema_text` wrote."""
    model, span_ms, labels = text.rsplit("\n", 2)
    return Schema(model, int(span_ms), tuple(labels.split(",")))


def pack_reading(reading: messages.Reading) -> bytes:
    """Return flags, level and scores in the order of the sorted labels, as big-endian bytes."""
    flags = _SPEECH * (reading.state == "speech") + _CLOCK_SYNCED * reading.clock_synced
    level = round((reading.level_dbfs + _LEVEL_OFFSET_DBFS) * _LEVEL_UNITS_PER_DB)
    scores = [round(reading.scores[label] * SCORE_UNITS) for label in sorted(reading.scores)]
    return struct.pack(f">BB{len(scores)}H", flags, level, *scores)


def pack_heard(heard: messages.Heard) -> bytes:
    """Return a heard record as big-endian bytes; counts beyond 32 bits become the highest count."""
    counts = (heard.span_ms, heard.windows, heard.silent, heard.speech, heard.uncertain, heard.dropped)
    level = round((heard.level_dbfs + _LEVEL_OFFSET_DBFS) * _LEVEL_UNITS_PER_DB)
    return _HEARD.pack(*(min(count, _MOST) for count in counts), level, round(heard.clipping * SCORE_UNITS))


def unpack_heard(chunk: int, field: bytes, value: bytes) -> tuple[int, int, int, int]:
    """Return end (Unix ms), length (ms), windows and silent windows of one heard record."""
    (offset,) = struct.unpack_from(">I", field)
    span_ms, windows, silent, *_ = _HEARD.unpack(value)
    return chunk * HEARD_CHUNK_MS + offset, span_ms, windows, silent


def unpack_boot(name: bytes, value: bytes, generation: int) -> Boot:
    """Return one boot.

    A boot that has lived through an erasure starts with its lowest sequence number, since it counts on.
    """
    _, first_at, last_at, records, lowest, highest = _BOOT.unpack(value)
    start = lowest if generation else 0
    missing = highest + 1 - start - records if records else 0
    return Boot(name.hex(), int(first_at), int(last_at), records, missing)


def unpack_latest(value: bytes) -> tuple[int, int, bool, float, list[float]]:
    """Return at (Unix ms), schema number, whether speech, level in dBFS, and scores of a device's latest reading."""
    (at,) = struct.unpack_from("<d", value)
    number, flags, level = value[8:11]
    scores = np.frombuffer(value, ">u2", offset=11) / SCORE_UNITS
    return int(at), number, bool(flags & _SPEECH), _level_dbfs(level), [float(score) for score in scores]


def unpack_readings(kind: Schema, entries: list[tuple[int, bytes, bytes]]) -> Readings:
    """Return readings of one schema from (chunk, field, value) entries."""
    packed = np.dtype([("schema", "u1"), ("flags", "u1"), ("level", "u1"), ("scores", ">u2", (len(kind.labels),))])
    table = np.frombuffer(b"".join(value for _, _, value in entries), packed)
    at = [chunk * CHUNK_MS + (int.from_bytes(field[:6], "big") >> _SEQ_BITS) for chunk, field, _ in entries]
    return Readings(
        kind,
        np.asarray(at, dtype=np.int64),
        (table["flags"] & _SPEECH).astype(bool),
        table["level"] / _LEVEL_UNITS_PER_DB - _LEVEL_OFFSET_DBFS,
        table["scores"] / SCORE_UNITS,
    )


def unpack_rollups(kind: Schema, level: Level, entries: list[tuple[int, bytes, bytes]]) -> Rollups:
    """Return rollups of one schema from (group, field, value) entries."""
    total, count = ("<u4", "<u2") if level == MINUTE else ("<f8", "<u4")
    label = np.dtype(
        [("sum", total), ("won_sum", total), ("min", "<u2"), ("max", "<u2"), ("all", count, 10), ("won", count, 10)]
    )
    packed = np.dtype([("count", "<u4"), ("uncertain", "<u4"), ("labels", label, (len(kind.labels),))])
    at = [(group * level.slots + field[0]) * level.slot_ms for group, field, _ in entries]
    table = np.frombuffer(b"".join(value for _, _, value in entries), packed)
    return Rollups(kind, np.asarray(at, dtype=np.int64), table)


def _level_dbfs(level: int) -> float:
    """Return a packed level in dBFS."""
    return level / _LEVEL_UNITS_PER_DB - _LEVEL_OFFSET_DBFS
