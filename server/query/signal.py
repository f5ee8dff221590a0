"""How well a device hears: level, clipping, distance of speech from the background, and what was lost, over time."""

from typing import NamedTuple

import numpy as np

from server.query.time_range import Range
from server.store.redis_store import RedisStore
from server.store.types import Floats, Ints


class Signal(NamedTuple):
    """What heard records say, in steps from the first to the last that has one; arrays of shape (n,)."""

    step_ms: int
    timestamps: Ints
    """Start of each step, Unix ms."""
    level_dbfs: Floats
    """Mean level, nan without a record that listened."""
    clipping: Floats
    """Share of samples at full scale, nan as before."""
    snr_db: Floats
    """How far speech stood above the background, nan where nobody spoke."""
    windows: Ints
    silent: Ints
    dropped: Ints
    """Blocks of sound that were lost."""


def signal(store: RedisStore, device: str, inside: Range, step_ms: int) -> Signal:
    """Return the signal of a range; a record counts where it ends."""
    heard = store.heard(device, *inside)
    if not heard.end.size:
        none, nothing = np.zeros(0, np.int64), np.zeros(0)
        return Signal(step_ms, none, nothing, nothing, nothing, none, none, none)
    steps = (heard.end - 1) // step_ms
    place = steps - steps.min()
    length = int(place.max()) + 1
    listened = (heard.windows > 0) & ~heard.paused
    spoken = listened & ~np.isnan(heard.snr_db)

    def total(values: Ints) -> Ints:
        return np.bincount(place, values, length).astype(np.int64)

    def mean(values: Floats, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Floats:
        with np.errstate(invalid="ignore"):  # 0 / 0 is the nan that we want
            sums = np.bincount(place[chosen], values[chosen], length)
            found: Floats = sums / np.bincount(place[chosen], minlength=length)
        return found

    return Signal(
        step_ms,
        (steps.min() + np.arange(length)) * step_ms,
        mean(heard.level_dbfs, listened),
        mean(heard.clipping, listened),
        mean(heard.snr_db, spoken),
        total(heard.windows),
        total(heard.silent),
        total(heard.dropped),
    )
