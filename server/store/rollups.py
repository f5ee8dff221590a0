"""Rollups: sums of readings over minutes, hours and days, read back from the bytes that `rollups.lua` packs."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.store.codec import SCORE_UNITS, SPEECH
from server.store.keys import DAY_MS, HOUR_MS
from server.store.types import Ints, Schema
from server.store.varint import Varints

BINS = 10
"""Bins of a histogram of scores, each a tenth wide."""
SUMS_PER_LABEL = 24
"""Numbers of one label in an unpacked rollup: sum, sum won, min, max, 10 bins of all, 10 bins of won."""
OPEN_SCHEMA_BYTE = 6
"""Index of the schema number in a reading that is not yet in the rollups."""
_HEAD_PER_LABEL = 5
"""Numbers of one label in a packed rollup, without the bins, which follow all labels."""
_OPEN_HEAD_BYTES = 8
"""Time, schema and flags of a reading that is not yet in the rollups; its scores follow."""

Table = NDArray[np.void]


class Resolution(NamedTuple):
    """The width of a rollup, and how its slots are grouped in keys."""

    name: str
    slot_ms: int
    slots: int
    """Slots in one key."""


MINUTE = Resolution("m", 60_000, 60)
HOUR = Resolution("h", HOUR_MS, 24)
DAY = Resolution("d", DAY_MS, 64)


@dataclass(frozen=True)
class Rollups:
    """Rollups of one schema, in no order; several rows may belong to one slot."""

    schema: Schema
    at: Ints
    """Start of the slot, Unix ms, shape (n,)."""
    count: Ints
    """Readings, shape (n,)."""
    uncertain: Ints
    sums: Ints
    """Of the scores, in ten-thousandths, shape (n, labels)."""
    unpack: Callable[[], Table]
    """Makes `table`, at ten times the cost of the rest."""

    @functools.cached_property
    def table(self) -> Table:
        """Fields `count`, `uncertain`, and per label `sum`, `won_sum`, `min`, `max` (ten-thousandths), `all`, `won`."""
        return self.unpack()


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


def unpack_rollups(schema: Schema, at: Ints, values: Sequence[bytes]) -> Rollups:
    """Return rollups of one schema from the starts of their slots (Unix ms) and their bytes, as `rollups.lua` packs."""
    numbers = Varints(values)
    sums_at = numbers.firsts[:, None] + 2 + _HEAD_PER_LABEL * np.arange(len(schema.labels))
    count, uncertain = numbers.at(numbers.firsts), numbers.at(numbers.firsts + 1)
    unpack = functools.partial(_unpack_table, numbers, count, uncertain, sums_at)
    return Rollups(schema, at, count, uncertain, numbers.at(sums_at), unpack)


def _unpack_table(numbers: Varints, count: Ints, uncertain: Ints, sums_at: Ints) -> Table:
    """Return all columns of rollups; in their numbers the sums stand at these places, shape (n, labels)."""
    found = numbers.all()
    heads = sums_at[:, :, None] + np.arange(_HEAD_PER_LABEL)
    head = found[heads]
    full = (head[:, :, 4:] >> np.arange(2 * BINS) & 1).astype(bool)
    counts = np.zeros(full.shape, np.int64)
    is_count = np.ones(found.size, bool)
    is_count[heads] = is_count[numbers.firsts] = is_count[numbers.firsts + 1] = False
    counts[full] = found[is_count]
    table = np.zeros(len(heads), _columns(heads.shape[1]))
    table["count"], table["uncertain"] = count, uncertain
    for column, name in enumerate(("sum", "won_sum", "min", "max")):
        table["labels"][name] = head[:, :, column]
    table["labels"]["all"], table["labels"]["won"] = counts[:, :, :BINS], counts[:, :, BINS:]
    return table


def roll_up(schema: Schema, values: Sequence[bytes], resolution: Resolution, start: int, end: int) -> Rollups:
    """Return readings of `open`, all of one schema, each as a rollup of a slot in start <= at < end (Unix ms)."""
    packed = np.dtype([("at", ">u2"), ("at_low", ">u4"), ("schema", "u1"), ("flags", "u1")])
    heads = np.frombuffer(b"".join(value[:_OPEN_HEAD_BYTES] for value in values), packed)
    scores = np.frombuffer(b"".join(value[_OPEN_HEAD_BYTES:] for value in values), ">u2").reshape(len(values), -1)
    at = ((heads["at"].astype(np.int64) << 32) + heads["at_low"]) // resolution.slot_ms * resolution.slot_ms
    inside = (at >= start) & (at < end)
    at, units = at[inside], scores[inside].astype(np.int64)
    speech = (heads["flags"][inside] & SPEECH).astype(bool)
    won = (units.argmax(axis=1)[:, None] == np.arange(units.shape[1])) & speech[:, None]
    bins = np.minimum(units // (SCORE_UNITS // BINS), BINS - 1)[:, :, None] == np.arange(BINS)
    table = np.zeros(at.size, _columns(units.shape[1]))
    table["count"], table["uncertain"] = 1, ~speech
    sums = table["labels"]
    sums["sum"], sums["won_sum"], sums["min"], sums["max"] = units, units * won, units, units
    sums["all"], sums["won"] = bins, bins & won[:, :, None]
    return Rollups(schema, at, table["count"], table["uncertain"], units, lambda: table)


def _columns(labels: int) -> np.dtype[np.void]:
    """Return the columns of rollups."""
    bins = (BINS,)
    label = np.dtype(
        [("sum", "i8"), ("won_sum", "i8"), ("min", "u2"), ("max", "u2"), ("all", "i8", bins), ("won", "i8", bins)]
    )
    return np.dtype([("count", "i8"), ("uncertain", "i8"), ("labels", label, (labels,))])
