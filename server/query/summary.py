"""A summary: sums over a range for each label, made of single readings or of rollups."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from server.query import time_range
from server.query.time_range import Range
from server.store.codec import SCORE_UNITS
from server.store.redis_store import RedisStore
from server.store.rollups import BINS, MINUTE, Rollups
from server.store.types import Ints, Readings

_LONGEST_RAW_RANGE_MS = 6 * time_range.HOUR_MS
"""A longer range is summed from rollups."""


@dataclass
class Tally:
    """Sums of one label over a range, scores in ten-thousandths."""

    readings: int = 0
    total: float = 0.0
    won_total: float = 0.0
    all: Ints = field(default_factory=lambda: np.zeros(BINS, np.int64))
    """Readings by tenths of confidence."""
    won: Ints = field(default_factory=lambda: np.zeros(BINS, np.int64))
    """The same of the readings of speech that the label won."""


@dataclass
class Summary:
    """Sums of all labels over a range."""

    range: Range
    readings: int = 0
    uncertain: int = 0
    labels: dict[str, Tally] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Readings of speech, each of which one label won."""
        return self.readings - self.uncertain

    def add_readings(self, raw: Readings) -> None:
        """Add single readings, by the rules of `rollups.lua`; to make rollups of them takes five times as long."""
        if not raw.at.size:
            return
        self.readings += raw.at.size
        self.uncertain += int((~raw.speech).sum())
        units = np.rint(raw.scores * SCORE_UNITS).astype(np.int64)
        bins = np.minimum(units // (SCORE_UNITS // BINS), BINS - 1)
        winner = np.where(raw.speech, units.argmax(axis=1), -1)
        for column, label in enumerate(raw.schema.labels):
            tally = self.labels.setdefault(label, Tally())
            won = winner == column
            tally.readings += raw.at.size
            tally.total += float(units[:, column].sum())
            tally.won_total += float(units[won, column].sum())
            tally.all += np.bincount(bins[:, column], minlength=BINS)
            tally.won += np.bincount(bins[won, column], minlength=BINS)

    def add_rollups(self, rolled: Rollups) -> None:
        """Add rollups."""
        count = int(rolled.count.sum(dtype=np.int64))
        self.readings += count
        self.uncertain += int(rolled.uncertain.sum(dtype=np.int64))
        for column, label in enumerate(rolled.schema.labels):
            tally, sums = self.labels.setdefault(label, Tally()), rolled.table["labels"][:, column]
            tally.readings += count
            tally.total += float(sums["sum"].sum(dtype=np.float64))
            tally.won_total += float(sums["won_sum"].sum(dtype=np.float64))
            tally.all += sums["all"].sum(axis=0, dtype=np.int64)
            tally.won += sums["won"].sum(axis=0, dtype=np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as REST shows it, without its range."""
        labels = {}
        for label in sorted(self.labels):
            tally = self.labels[label]
            count = int(tally.won.sum())
            labels[label] = {
                "mean_confidence": _ratio(tally.won_total, count * SCORE_UNITS),
                "mean_score": _ratio(tally.total, tally.readings * SCORE_UNITS),
                "share": _ratio(count, self.count),
                "count": count,
                "histogram": {
                    "edges": [tenth / BINS for tenth in range(BINS + 1)],
                    "won": tally.won.tolist(),
                    "all": tally.all.tolist(),
                },
            }
        won_total = sum(tally.won_total for tally in self.labels.values())
        return {
            "readings": self.readings,
            "labels": labels,
            "overall": {"mean_confidence": _ratio(won_total, self.count * SCORE_UNITS), "count": self.count},
            "uncertain": {"count": self.uncertain, "share": _ratio(self.uncertain, self.readings)},
        }


def summarize(store: RedisStore, device: str, asked: Range, *, raw_is_kept: bool) -> Summary:
    """Return the sums over a range; a long one is widened to whole minutes."""
    if raw_is_kept and asked.end - asked.start <= _LONGEST_RAW_RANGE_MS:
        result = Summary(asked)
        for raw in store.readings(device, *asked):
            result.add_readings(raw)
        return result
    result = Summary(time_range.widen(asked, MINUTE.slot_ms))
    for rolled in store.totals(device, *result.range):
        result.add_rollups(rolled)
    return result


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
