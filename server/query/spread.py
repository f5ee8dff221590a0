"""How far the readings of a step lie apart: the middle half of their scores."""

from collections.abc import Iterator

import numpy as np

from server.query import time_range
from server.query.series import Grid
from server.store.codec import SCORE_UNITS
from server.store.redis_store import RedisStore
from server.store.rollups import BINS
from server.store.types import Floats, Ints

Spread = dict[str, tuple[Floats, Floats]]
"""Lower and upper quartile of the scores of each label in each step, nan without readings, each of shape (n,)."""


def spread(store: RedisStore, device: str, grid: Grid) -> Spread:
    """Return the quartiles in each step of a series, from tenths of confidence, as if each tenth was evenly filled."""
    steps = grid.timestamps.size
    if not steps:
        return {}
    counts = {label: np.zeros((steps, BINS), np.int64) for label in grid.means}
    least = {label: np.full(steps, SCORE_UNITS) for label in grid.means}
    most = {label: np.zeros(steps, np.int64) for label in grid.means}

    def add(label: str, at: Ints, low: Ints, high: Ints, bins: Ints) -> None:
        step = at // grid.step_ms - grid.timestamps[0] // grid.step_ms
        known = (step >= 0) & (step < steps)  # what came since the series was read is left out
        np.add.at(counts[label], step[known], bins[known])
        np.minimum.at(least[label], step[known], low[known])
        np.maximum.at(most[label], step[known], high[known])

    for label, *columns in _columns(store, device, grid):
        if label in counts:
            add(label, *columns)
    found: Spread = {}
    for label, bins in counts.items():
        ends = least[label] / SCORE_UNITS, most[label] / SCORE_UNITS
        found[label] = (np.clip(_quantile(bins, 0.25), *ends), np.clip(_quantile(bins, 0.75), *ends))
    return found


def _columns(store: RedisStore, device: str, grid: Grid) -> Iterator[tuple[str, Ints, Ints, Ints, Ints]]:
    """Yield what a series is made of: label, times, lowest and highest score of each time, and counts by tenths."""
    resolution = time_range.resolution(grid.step_ms)
    if resolution is None:
        for raw in store.readings(device, *grid.range):
            for column, label in enumerate(raw.schema.labels):
                units = np.rint(raw.scores[:, column] * SCORE_UNITS).astype(np.int64)
                bins = np.minimum(units // (SCORE_UNITS // BINS), BINS - 1)[:, None] == np.arange(BINS)
                yield label, raw.at, units, units, bins.astype(np.int64)
    else:
        for rolled in store.rollups(device, resolution, *grid.range):
            for column, label in enumerate(rolled.schema.labels):
                sums = rolled.table["labels"][:, column]
                yield label, rolled.at, sums["min"].astype(np.int64), sums["max"].astype(np.int64), sums["all"]


def _quantile(bins: Ints, share: float) -> Floats:
    """Return a quantile of each row of counts, shape (n, bins); nan for a row without any."""
    reached = np.cumsum(bins, axis=1)
    total = reached[:, -1]
    wanted = share * total
    place = np.minimum((reached < wanted[:, None]).sum(axis=1), BINS - 1)
    rows = np.arange(len(bins))
    inside = bins[rows, place]
    before = reached[rows, place] - inside
    with np.errstate(invalid="ignore"):
        found = (place + (wanted - before) / np.maximum(inside, 1)) / BINS
    return np.where(total > 0, found, np.nan)
