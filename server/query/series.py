"""A series: mean scores on a grid of steps."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from server.query import time_range
from server.query.intervals import runs
from server.query.spans import Evidence
from server.query.time_range import Range
from server.store.codec import SCORE_UNITS
from server.store.redis_store import RedisStore
from server.store.rollups import Resolution, Rollups
from server.store.types import Floats, Ints


@dataclass(frozen=True)
class Grid:
    """Means over steps, from the first to the last step that holds a reading."""

    range: Range
    """The asked range, widened to whole slots of the rollup."""
    step_ms: int
    timestamps: Ints
    """Start of each step, Unix ms, shape (n,)."""
    means: dict[str, Floats]
    """Mean score of each label, nan where a step holds none, shape (n,)."""
    readings: Ints
    uncertain: Ints

    def evidence(self, since: int) -> Evidence:
        """Return what the steps tell about absence; `since` is from when on all records are kept, Unix ms."""
        if not self.timestamps.size:
            return Evidence(since, [], [])
        first = int(self.timestamps[0])
        mostly = self.uncertain * 2 > self.readings
        return Evidence(since, runs(self.readings > 0, first, self.step_ms), runs(mostly, first, self.step_ms))


def grid(store: RedisStore, device: str, asked: Range, step_ms: int) -> Grid:
    """Return the means over steps of a range."""
    resolution = time_range.resolution(step_ms)
    inside = time_range.widen(asked, resolution.slot_ms) if resolution else asked
    return _grid(list(_parts(store, device, resolution, inside)), inside, step_ms)


def sum_up(tables: Iterable[Rollups], inside: Range, step_ms: int) -> Grid:
    """Return the means over steps of rollups that have been read."""
    return _grid(list(_rolled(tables)), inside, step_ms)


def _grid(parts: "list[_Part]", inside: Range, step_ms: int) -> Grid:
    if not parts:
        none = np.zeros(0, np.int64)
        return Grid(inside, step_ms, none, {}, none, none)
    first = min(int(part.at.min()) for part in parts) // step_ms
    steps = max(int(part.at.max()) for part in parts) // step_ms - first + 1
    readings, uncertain = np.zeros(steps), np.zeros(steps)
    sums: dict[str, Floats] = defaultdict(lambda: np.zeros(steps))
    counts: dict[str, Floats] = defaultdict(lambda: np.zeros(steps))
    for part in parts:
        step = part.at // step_ms - first
        count = np.bincount(step, part.count, steps)
        readings += count
        uncertain += np.bincount(step, part.uncertain, steps)
        for column, label in enumerate(part.labels):
            sums[label] += np.bincount(step, part.sums[:, column], steps)
            counts[label] += count
    with np.errstate(invalid="ignore"):  # 0 / 0 is the nan that we want
        means = {label: sums[label] / counts[label] / SCORE_UNITS for label in sorted(sums)}
    return Grid(
        inside,
        step_ms,
        (first + np.arange(steps)) * step_ms,
        means,
        readings.astype(np.int64),
        uncertain.astype(np.int64),
    )


@dataclass(frozen=True)
class _Part:
    """Sums at points in time, of one schema."""

    labels: tuple[str, ...]
    at: Ints
    count: Ints
    uncertain: Ints
    sums: Ints | Floats
    """Shape (n, labels), in ten-thousandths."""


def _parts(store: RedisStore, device: str, resolution: Resolution | None, inside: Range) -> Iterator[_Part]:
    """Yield what a range holds: single readings, or rollups of a resolution."""
    if resolution is None:
        for raw in store.readings(device, *inside):
            if raw.at.size:
                uncertain = (~raw.speech).astype(np.int64)
                yield _Part(raw.schema.labels, raw.at, np.ones_like(raw.at), uncertain, raw.scores * SCORE_UNITS)
    else:
        yield from _rolled(store.rollups(device, resolution, *inside))


def _rolled(tables: Iterable[Rollups]) -> Iterator[_Part]:
    for rolled in tables:
        if rolled.at.size:
            yield _Part(rolled.schema.labels, rolled.at, rolled.count, rolled.uncertain, rolled.sums)
