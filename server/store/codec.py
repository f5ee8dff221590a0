"""Packs what is stored as bytes and reads it back: readings, heard records, boots, and a device's latest reading.

Scores are kept in ten-thousandths, levels in half decibels. `store.lua` takes what is packed here and writes the bytes
that are unpacked here.
"""

import functools
import struct
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from broker import messages
from server.store.keys import HEARD_CHUNK_MS, HOUR_MS
from server.store.types import Boot, HeardSpans, Readings, Schema

SCORE_UNITS = 10_000
"""A score is kept as a whole number of ten-thousandths."""
SPEECH = 1
"""Bit of a reading's flags: the device was sure."""
SCHEMA_BYTE = 3
"""Index of the schema number in a stored reading."""
_FLAGS_BYTE = 2
_CLOCK_SYNCED = 2
_FLAG_BITS = 2
_LEVEL_OFFSET_DBFS = 120.0
_LEVEL_UNITS_PER_DB = 2
_BOOT = struct.Struct("<IddIIIdd")
"""What a boot of each layout begins with; since layout 3, more follows."""
_RECORD = ">B8sIQQ"
"""Labels (0: a heard record), boot, sequence number, generation, at."""
_HEARD_BODY = "IIIIIIBH"
_HEARD = struct.Struct(f"{_RECORD}{_HEARD_BODY}")
_HEARD_STORED = struct.Struct(f">I{_HEARD_BODY}")
_HIGHEST_COUNT = 2**32 - 1
_HIGHEST_DROPPED = 2**24 - 1
_SNR_SHIFT = 24
"""Above the dropped blocks stands the ratio of speech to background, in half decibels and one more; 0 is none."""
_SNR_UNITS_PER_DB = 2
_PAUSED = 2**15
"""Bit beside the clipping, which needs 14."""


@functools.lru_cache(maxsize=1024)
def _packing(model: str, span_ms: int, labels: tuple[str, ...]) -> tuple[str, tuple[str, ...], struct.Struct]:
    """Return the schema of a reading as the store keeps it, its labels in order, and how the reading is packed."""
    ordered = tuple(sorted(labels))
    return "\n".join([model, str(span_ms), ",".join(ordered)]), ordered, struct.Struct(f"{_RECORD}BB{len(ordered)}H")


def parse_schema(text: str) -> Schema:
    """Return the schema that a key of `…:schemas` names."""
    model, span_ms, labels = text.rsplit("\n", 2)
    return Schema(model, int(span_ms), tuple(labels.split(",")))


def pack_reading(reading: messages.Reading) -> tuple[str, bytes]:
    """Return the text of a reading's schema, and identity, time, flags, level and scores as big-endian bytes."""
    scores = reading.scores
    text, labels, packing = _packing(reading.model, reading.span_ms, tuple(scores))
    flags = SPEECH * (reading.state == "speech") + _CLOCK_SYNCED * reading.clock_synced
    level = round((reading.level_dbfs + _LEVEL_OFFSET_DBFS) * _LEVEL_UNITS_PER_DB)
    units = [round(scores[label] * SCORE_UNITS) for label in labels]
    identity = (bytes.fromhex(reading.boot), reading.seq, reading.gen, reading.at)
    return text, packing.pack(len(labels), *identity, flags, level, *units)


def pack_heard(heard: messages.Heard) -> bytes:
    """Return a heard record as big-endian bytes; counts that are too high become the highest count."""
    counts = (heard.span_ms, heard.windows, heard.silent, heard.speech, heard.uncertain)
    snr = 0 if heard.snr_db is None else 1 + round(heard.snr_db * _SNR_UNITS_PER_DB)
    dropped = min(heard.dropped, _HIGHEST_DROPPED) + (snr << _SNR_SHIFT)
    level = round((heard.level_dbfs + _LEVEL_OFFSET_DBFS) * _LEVEL_UNITS_PER_DB)
    identity = (bytes.fromhex(heard.boot), heard.seq, heard.gen, heard.at)
    most = (min(count, _HIGHEST_COUNT) for count in counts)
    clipping = round(heard.clipping * SCORE_UNITS) + _PAUSED * heard.paused
    return _HEARD.pack(0, *identity, *most, dropped, level, clipping)


def unpack_heard(chunks: Iterable[tuple[int, Sequence[bytes]]]) -> HeardSpans:
    """Return heard records in the order of their ends, from (chunk, values) pairs."""
    numbers = [(name, ">u4") for name in ("offset", "span", "windows", "silent", "speech", "uncertain", "dropped")]
    packed = np.dtype([*numbers, ("level", "u1"), ("clipping", ">u2")])
    tables, firsts = [], []
    for chunk, values in chunks:
        table = np.frombuffer(b"".join(values), packed)
        tables.append(table)
        firsts.append(np.full(table.size, chunk * HEARD_CHUNK_MS))
    table = np.concatenate([np.zeros(0, packed), *tables])
    end = np.concatenate([np.zeros(0, np.int64), *firsts]) + table["offset"]
    order = np.argsort(end, kind="stable")
    table, end = table[order], end[order].astype(np.int64)
    snr = (table["dropped"] >> _SNR_SHIFT).astype(np.float64)
    return HeardSpans(
        end - table["span"],
        end,
        table["windows"].astype(np.int64),
        table["silent"].astype(np.int64),
        table["speech"].astype(np.int64),
        table["uncertain"].astype(np.int64),
        (table["dropped"] & _HIGHEST_DROPPED).astype(np.int64),
        table["level"] / _LEVEL_UNITS_PER_DB - _LEVEL_OFFSET_DBFS,
        (table["clipping"] & (_PAUSED - 1)) / SCORE_UNITS,
        np.where(snr > 0, (snr - 1) / _SNR_UNITS_PER_DB, np.nan),
        (table["clipping"] & _PAUSED).astype(bool),
    )


def unpack_heard_whole(
    chunk: int, value: bytes
) -> tuple[int, int, int, int, int, int, int, float, float, float | None, bool]:
    """Return all of a heard record.

    End, length, windows, silent, speech, uncertain, dropped, level, clipping, ratio of speech to background, paused.
    """
    offset, *counts, dropped, level, clipping = _HEARD_STORED.unpack(value)
    snr = dropped >> _SNR_SHIFT
    return (
        chunk * HEARD_CHUNK_MS + offset,
        *counts,
        dropped & _HIGHEST_DROPPED,
        _level_dbfs(level),
        (clipping & (_PAUSED - 1)) / SCORE_UNITS,
        (snr - 1) / _SNR_UNITS_PER_DB if snr else None,
        bool(clipping & _PAUSED),
    )


def unpack_boot(name: bytes, value: bytes) -> Boot:
    """Return one boot."""
    _, first_at, last_at, records, lowest, highest, first_arrival, last_arrival = _BOOT.unpack_from(value)
    missing = highest + 1 - records if records else 0
    arrivals = (int(first_arrival), int(last_arrival))
    return Boot(name.hex(), int(first_at), int(last_at), records, missing, lowest, highest, *arrivals)


def boot_index(value: bytes) -> int:
    """Return the index that the keys of a boot's sequence numbers have in their names."""
    index: int = _BOOT.unpack_from(value)[0]
    return index


def has_pages(value: bytes) -> bool:
    """Return whether the sequence numbers of a boot are in pages, not in the one bitmap of layout 2."""
    return len(value) > _BOOT.size


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
    return int(at), number, bool(flags & SPEECH), _level_dbfs(level), [float(score) for score in scores]


def reading_clock_synced(value: bytes) -> bool:
    """Return whether the device's clock was set when it made a stored reading."""
    return bool(value[_FLAGS_BYTE] & _CLOCK_SYNCED)


def unpack_readings(schema: Schema, parts: Iterable[tuple[int, bytes]]) -> Readings:
    """Return readings of one schema from (hour, values one after the other)."""
    packed = np.dtype([("when", "u1", 3), ("schema", "u1"), ("level", "u1"), ("scores", ">u2", (len(schema.labels),))])
    hours, values = zip(*parts, strict=True)
    table = np.frombuffer(b"".join(values), packed)
    when = table["when"] @ np.array([65536, 256, 1], np.int64)
    start = np.repeat(np.asarray(hours, np.int64) * HOUR_MS, [len(value) // packed.itemsize for value in values])
    return Readings(
        schema,
        start + (when >> _FLAG_BITS),
        (when & SPEECH).astype(bool),
        table["level"] / _LEVEL_UNITS_PER_DB - _LEVEL_OFFSET_DBFS,
        table["scores"] / SCORE_UNITS,
    )


def _level_dbfs(level: int) -> float:
    """Return a packed level in dBFS."""
    return level / _LEVEL_UNITS_PER_DB - _LEVEL_OFFSET_DBFS
