"""The rhythm of a week: what was heard in each hour of each weekday, by the clock of a time zone."""

from dataclasses import dataclass, field
from datetime import datetime, tzinfo

import numpy as np

from server.query import time_range
from server.query.time_range import Range
from server.store.redis_store import RedisStore
from server.store.rollups import HOUR, MINUTE
from server.store.types import Ints

WEEKDAYS, HOURS = 7, 24
_QUARTER_MS = 900_000
"""Every offset from UTC is a multiple of this."""


def _week() -> Ints:
    return np.zeros((WEEKDAYS, HOURS), np.int64)


@dataclass
class Rhythm:
    """Counts of readings, each of shape (7, 24): Monday to Sunday, hours 0 to 23 of the zone's clock."""

    range: Range
    """The asked one, widened to whole slots of the rollups."""
    readings: Ints = field(default_factory=_week)
    uncertain: Ints = field(default_factory=_week)
    won: dict[str, Ints] = field(default_factory=dict)
    """Readings of speech that each label won."""


def rhythm(store: RedisStore, device: str, asked: Range, zone: tzinfo) -> Rhythm:
    """Return the counts of a range by weekday and hour.

    They come from rollups of hours, or of minutes where the zone's clock is not whole hours from UTC.
    """
    quarters = range(asked.start // _QUARTER_MS * _QUARTER_MS, asked.end, _QUARTER_MS * 4 * 12)
    whole = all(_offset_ms(at, zone) % HOUR.slot_ms == 0 for at in [*quarters, asked.end])
    resolution = HOUR if whole else MINUTE
    result = Rhythm(time_range.widen(asked, resolution.slot_ms))
    for rolled in store.rollups(device, resolution, *result.range):
        starts, place = np.unique(rolled.at // _QUARTER_MS, return_inverse=True)
        cells = np.array([_cell(int(start) * _QUARTER_MS, zone) for start in starts], np.int64).reshape(-1)[place]
        np.add.at(result.readings.reshape(-1), cells, rolled.count)
        np.add.at(result.uncertain.reshape(-1), cells, rolled.uncertain)
        for column, label in enumerate(rolled.schema.labels):
            won = rolled.table["labels"]["won"][:, column].sum(axis=1)
            np.add.at(result.won.setdefault(label, _week()).reshape(-1), cells, won)
    return result


def _cell(at: int, zone: tzinfo) -> int:
    local = datetime.fromtimestamp(at / 1000, zone)
    return local.weekday() * HOURS + local.hour


def _offset_ms(at: int, zone: tzinfo) -> int:
    offset = datetime.fromtimestamp(at / 1000, zone).utcoffset()
    return round(offset.total_seconds() * 1000) if offset else 0
