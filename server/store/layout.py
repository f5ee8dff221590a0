"""The bytes of the store: names of keys, and how records are packed and read back; the Lua files are the writing half.

Everything of one device hangs on `mw:{<id>}`, so that a Redis Cluster keeps it on one node:

| key                | type   | what                                                                             |
|--------------------|--------|----------------------------------------------------------------------------------|
| `mw:{id}`          | hash   | generation, counts, times, latest reading, and what the device says of itself    |
| `…:boots`          | hash   | boot → index, first and last time and arrival, records, lowest and highest number |
| `…:seen:<index>`   | bitmap | which sequence numbers of that boot are stored                                   |
| `…:schemas`        | hash   | model, span and labels → number of that kind of reading                          |
| `…:r:<hour>`       | list   | readings of one hour, as they came: offset, flags, schema, level, scores         |
| `…:open`           | list   | up to 63 readings that are not yet in the rollups; whoever reads adds them       |
| `…:m:`, `:h:`, `:d:` | hash | minutes of one hour, hours of one day, days of 64: slot and schema → rollup      |
| `…:heard:<chunk>`  | list   | heard records of 6 h                                                             |
| `…:days`           | zset   | days that hold anything                                                          |
| `…:events`         | stream | online, offline, paused                                                          |
| `…:orders`         | hash   | commands of the last hour: transaction → what, where it was sent, the answer     |
| `mw:layout`        | string | the number of this layout                                                        |
| `mw:devices`       | zset   | every device id ever met                                                         |
| `mw:jobs`          | stream | what REST asks of ingest                                                         |
| `mw:orders`        | stream | commands that are not yet answered or given up                                   |
| `mw:live`          | stream | readings and statuses of the last two minutes, by batch                          |
| `mw:ingest`        | string | expires; there while ingest is                                                   |
| `mw:written`       | hash   | outcome → records that ended so, for the metrics                                 |
| `mw:alerts`        | hash   | device and rule → whether an alert is raised, and when it was                    |
| `mw:access`        | hash   | name → role and SHA-256 of a bearer token                                        |
| `mw:access:used`   | hash   | name of a token → the hour of its last use                                       |
"""

import functools
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from broker import messages
from server.store.varint import Ints, Varints

VERSION = 2
"""Of this layout; another number means that the bytes are others."""
VERSION_KEY = "mw:layout"
DEVICES = "mw:devices"
JOBS = "mw:jobs"
COMMANDS = "mw:orders"
LIVE = "mw:live"
HEARTBEAT = "mw:ingest"
WRITTEN = "mw:written"

HOUR_MS = 3_600_000
HEARD_CHUNK_MS = 21_600_000
DAY_MS = 86_400_000
SCORE_UNITS = 10_000
"""A score is kept as a whole number of ten-thousandths."""

SUMS_PER_LABEL = 24
"""Numbers of one label in a rollup that is unpacked."""

_BINS = 10
_HEAD_PER_LABEL = 5
"""Numbers of one label in a rollup that is packed, without the bins behind all labels."""

_LEVEL_OFFSET_DBFS = 120.0
_LEVEL_UNITS_PER_DB = 2
_SPEECH = 1
_CLOCK_SYNCED = 2
_FLAG_BITS = 2
_BOOT = struct.Struct("<IddIIIdd")
_RECORD = ">B8sIQQ"
"""Labels (0: a heard record), boot, sequence number, generation, at."""
_HEARD_BODY = "IIIIIIBH"
_HEARD = struct.Struct(f"{_RECORD}{_HEARD_BODY}")
_HEARD_STORED = struct.Struct(f">I{_HEARD_BODY}")
_MOST = 2**32 - 1
_OPEN_BYTES = 8
"""Before the scores of a reading that is not yet in the rollups: at, schema and flags."""

Floats = NDArray[np.float64]
Table = NDArray[np.void]


class Resolution(NamedTuple):
    """One width of rollup."""

    name: str
    slot_ms: int
    slots: int
    """Slots in one key."""


MINUTE = Resolution("m", 60_000, 60)
HOUR = Resolution("h", HOUR_MS, 24)
DAY = Resolution("d", DAY_MS, 64)


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
    lowest: int
    """The first sequence number that is stored."""
    first_arrival: int
    """Unix ms by the store's clock, like last_arrival."""
    last_arrival: int


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
    """Minutes, hours or days of one schema, in no order; what belongs to one slot may be in several rows."""

    schema: Schema
    at: Ints
    """Start of the slot, Unix ms, shape (n,)."""
    count: Ints
    """Readings, shape (n,)."""
    uncertain: Ints
    sums: Ints
    """Of the scores, in ten-thousandths, shape (n, labels)."""
    unpack: Callable[[], Table]
    """What makes `table`, which is ten times the work of the rest."""

    @functools.cached_property
    def table(self) -> Table:
        """Fields `count`, `uncertain`, and per label `sum`, `won_sum`, `min`, `max` (ten-thousandths), `all`, `won`."""
        return self.unpack()


class HeardSpans(NamedTuple):
    """Parts of heard records in the order of their ends; times in Unix ms, each of shape (n,)."""

    start: Ints
    end: Ints
    windows: Ints
    silent: Ints


def base(device: str) -> str:
    """Return the key of a device's hash, which is the start of all its keys."""
    return f"mw:{{{device}}}"


def function(name: str) -> str:
    """Return the full name of one of the store's functions."""
    return f"mw{VERSION}_{name}"


@functools.lru_cache(maxsize=1024)
def _packing(model: str, span_ms: int, labels: tuple[str, ...]) -> tuple[str, tuple[str, ...], struct.Struct]:
    """Return the schema of a reading as the store keeps it, its labels in order, and how the reading is packed."""
    ordered = tuple(sorted(labels))
    return "\n".join([model, str(span_ms), ",".join(ordered)]), ordered, struct.Struct(f"{_RECORD}BB{len(ordered)}H")


def schema(text: str) -> Schema:
    """Read back the text that `_packing` made."""
    model, span_ms, labels = text.rsplit("\n", 2)
    return Schema(model, int(span_ms), tuple(labels.split(",")))


def pack_reading(reading: messages.Reading) -> tuple[str, bytes]:
    """Return the text of a reading's schema, and identity, time, flags, level and scores as big-endian bytes."""
    scores = reading.scores
    text, labels, packing = _packing(reading.model, reading.span_ms, tuple(scores))
    flags = _SPEECH * (reading.state == "speech") + _CLOCK_SYNCED * reading.clock_synced
    level = round((reading.level_dbfs + _LEVEL_OFFSET_DBFS) * _LEVEL_UNITS_PER_DB)
    units = [round(scores[label] * SCORE_UNITS) for label in labels]
    identity = (bytes.fromhex(reading.boot), reading.seq, reading.gen, reading.at)
    return text, packing.pack(len(labels), *identity, flags, level, *units)


def pack_heard(heard: messages.Heard) -> bytes:
    """Return a heard record as big-endian bytes; counts beyond 32 bits become the highest count."""
    counts = (heard.span_ms, heard.windows, heard.silent, heard.speech, heard.uncertain, heard.dropped)
    level = round((heard.level_dbfs + _LEVEL_OFFSET_DBFS) * _LEVEL_UNITS_PER_DB)
    identity = (bytes.fromhex(heard.boot), heard.seq, heard.gen, heard.at)
    most = (min(count, _MOST) for count in counts)
    return _HEARD.pack(0, *identity, *most, level, round(heard.clipping * SCORE_UNITS))


def unpack_heard(chunks: Iterable[tuple[int, Sequence[bytes]]]) -> HeardSpans:
    """Return heard records in the order of their ends, from (chunk, values) pairs."""
    numbers = [(name, ">u4") for name in ("offset", "span", "windows", "silent")]
    packed = np.dtype([*numbers, ("rest", f"V{_HEARD_STORED.size - 16}")])
    tables, firsts = [], []
    for chunk, values in chunks:
        table = np.frombuffer(b"".join(values), packed)
        tables.append(table)
        firsts.append(np.full(table.size, chunk * HEARD_CHUNK_MS))
    if not tables:
        return HeardSpans(*(np.zeros(0, np.int64) for _ in range(4)))
    table, end = np.concatenate(tables), np.concatenate(firsts)
    end += table["offset"]
    order = np.argsort(end, kind="stable")
    table, end = table[order], end[order]
    return HeardSpans(end - table["span"], end, table["windows"].astype(np.int64), table["silent"].astype(np.int64))


def unpack_heard_whole(chunk: int, value: bytes) -> tuple[int, int, int, int, int, int, int, float, float]:
    """Return all of a heard record: end, length, windows, silent, speech, uncertain, dropped, level, clipping."""
    offset, *counts, level, clipping = _HEARD_STORED.unpack(value)
    return chunk * HEARD_CHUNK_MS + offset, *counts, _level_dbfs(level), clipping / SCORE_UNITS


def unpack_boot(name: bytes, value: bytes) -> Boot:
    """Return one boot."""
    _, first_at, last_at, records, lowest, highest, first_arrival, last_arrival = _BOOT.unpack(value)
    missing = highest + 1 - records if records else 0
    arrivals = (int(first_arrival), int(last_arrival))
    return Boot(name.hex(), int(first_at), int(last_at), records, missing, lowest, *arrivals)


def unpack_boots(packed: Mapping[bytes, bytes], generation: int) -> list[Boot]:
    """Return the boots that have records, oldest first.

    The oldest boot of a device that was erased may have lived through the erasure. It counts on then, so the numbers
    before its first one are not missing; whether some after the erasure are, nobody can tell.
    """
    boots = [unpack_boot(name, value) for name, value in packed.items()]
    boots = sorted((boot for boot in boots if boot.records), key=lambda boot: boot.first_at)
    if generation and boots:
        boots[0] = boots[0]._replace(missing=boots[0].missing - boots[0].lowest)
    return boots


def unpack_latest(value: bytes) -> tuple[int, int, bool, float, list[float]]:
    """Return at (Unix ms), schema number, whether speech, level in dBFS, and scores of a device's latest reading."""
    (at,) = struct.unpack_from("<d", value)
    number, flags, level = value[8:11]
    scores = np.frombuffer(value, ">u2", offset=11) / SCORE_UNITS
    return int(at), number, bool(flags & _SPEECH), _level_dbfs(level), [float(score) for score in scores]


def reading_schema(value: bytes) -> int:
    """Return the schema number of a stored reading."""
    return value[3]


def reading_clock_synced(value: bytes) -> bool:
    """Return whether the device's clock was set when it made a stored reading."""
    return bool(value[2] & _CLOCK_SYNCED)


def unpack_readings(kind: Schema, parts: Iterable[tuple[int, bytes]]) -> Readings:
    """Return readings of one schema from (hour, values one after the other)."""
    packed = np.dtype([("when", "u1", 3), ("schema", "u1"), ("level", "u1"), ("scores", ">u2", (len(kind.labels),))])
    hours, values = zip(*parts, strict=True)
    table = np.frombuffer(b"".join(values), packed)
    when = table["when"] @ np.array([65536, 256, 1], np.int64)
    start = np.repeat(np.asarray(hours, np.int64) * HOUR_MS, [len(value) // packed.itemsize for value in values])
    return Readings(
        kind,
        start + (when >> _FLAG_BITS),
        (when & _SPEECH).astype(bool),
        table["level"] / _LEVEL_UNITS_PER_DB - _LEVEL_OFFSET_DBFS,
        table["scores"] / SCORE_UNITS,
    )


def cover(
    start: int, end: int, resolutions: tuple[Resolution, ...] = (DAY, HOUR, MINUTE)
) -> list[tuple[Resolution, int, int]]:
    """Return the fewest days, hours and minutes (resolution, start, end) that make up a range of whole minutes."""
    widest, *finer = resolutions
    first, last = -(-start // widest.slot_ms) * widest.slot_ms, end // widest.slot_ms * widest.slot_ms
    if start >= end:
        return []
    if not finer:
        return [(widest, start, end)]
    if first >= last:
        return cover(start, end, tuple(finer))
    return [*cover(start, first, tuple(finer)), (widest, first, last), *cover(last, end, tuple(finer))]


def unpack_rollups(kind: Schema, at: Ints, values: Sequence[bytes]) -> Rollups:
    """Return rollups of one schema from the starts of their slots (Unix ms) and their bytes, as `rollups.lua` packs."""
    numbers = Varints(values)
    sums_at = numbers.firsts[:, None] + 2 + _HEAD_PER_LABEL * np.arange(len(kind.labels))
    count, uncertain = numbers.at(numbers.firsts), numbers.at(numbers.firsts + 1)
    unpack = functools.partial(_unpack_whole, numbers, count, uncertain, sums_at)
    return Rollups(kind, at, count, uncertain, numbers.at(sums_at), unpack)


def _unpack_whole(numbers: Varints, count: Ints, uncertain: Ints, sums_at: Ints) -> Table:
    """Return all columns of rollups; in their numbers the sums stand at these places, shape (n, labels)."""
    found = numbers.all()
    heads = sums_at[:, :, None] + np.arange(_HEAD_PER_LABEL)
    head = found[heads]
    full = (head[:, :, 4:] >> np.arange(2 * _BINS) & 1).astype(bool)
    counts = np.zeros(full.shape, np.int64)
    is_count = np.ones(found.size, bool)
    is_count[heads] = is_count[numbers.firsts] = is_count[numbers.firsts + 1] = False
    counts[full] = found[is_count]
    table = np.zeros(len(heads), _table(heads.shape[1]))
    table["count"], table["uncertain"] = count, uncertain
    for column, name in enumerate(("sum", "won_sum", "min", "max")):
        table["labels"][name] = head[:, :, column]
    table["labels"]["all"], table["labels"]["won"] = counts[:, :, :_BINS], counts[:, :, _BINS:]
    return table


def roll_up(kind: Schema, values: Sequence[bytes], level: Resolution, start: int, end: int) -> Rollups:
    """Return readings of one schema that wait in `open`, each as a rollup of its own, of slots in start <= at < end."""
    packed = np.dtype([("at", ">u2"), ("at_low", ">u4"), ("schema", "u1"), ("flags", "u1")])
    heads = np.frombuffer(b"".join(value[:_OPEN_BYTES] for value in values), packed)
    scores = np.frombuffer(b"".join(value[_OPEN_BYTES:] for value in values), ">u2").reshape(len(values), -1)
    at = ((heads["at"].astype(np.int64) << 32) + heads["at_low"]) // level.slot_ms * level.slot_ms
    inside = (at >= start) & (at < end)
    at, units = at[inside], scores[inside].astype(np.int64)
    speech = (heads["flags"][inside] & _SPEECH).astype(bool)
    won = (units.argmax(axis=1)[:, None] == np.arange(units.shape[1])) & speech[:, None]
    bins = np.minimum(units // (SCORE_UNITS // _BINS), _BINS - 1)[:, :, None] == np.arange(_BINS)
    table = np.zeros(at.size, _table(units.shape[1]))
    table["count"], table["uncertain"] = 1, ~speech
    sums = table["labels"]
    sums["sum"], sums["won_sum"], sums["min"], sums["max"] = units, units * won, units, units
    sums["all"], sums["won"] = bins, bins & won[:, :, None]
    return Rollups(kind, at, table["count"], table["uncertain"], units, lambda: table)


def _table(labels: int) -> np.dtype[np.void]:
    """Return the columns of rollups."""
    bins = (_BINS,)
    label = np.dtype(
        [("sum", "i8"), ("won_sum", "i8"), ("min", "u2"), ("max", "u2"), ("all", "i8", bins), ("won", "i8", bins)]
    )
    return np.dtype([("count", "i8"), ("uncertain", "i8"), ("labels", label, (labels,))])


def _level_dbfs(level: int) -> float:
    """Return a packed level in dBFS."""
    return level / _LEVEL_UNITS_PER_DB - _LEVEL_OFFSET_DBFS
