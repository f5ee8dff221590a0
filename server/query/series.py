"""What REST and the plots show of a device: means on a grid of steps, spans of absence, and sums over a range."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from server.query import time_range
from server.query.intervals import Interval, clip, join, join_many, runs, without
from server.query.time_range import Range
from server.store import rollups
from server.store.codec import SCORE_UNITS
from server.store.redis_store import RedisStore
from server.store.rollups import Rollups
from server.store.types import Boot, Floats, Ints, Readings

SpanKind = Literal["silence", "uncertain", "paused", "offline", "missing"]
BINS = 10
_SLACK_MS = 1000
_UNHEARD_MS = 150_000
"""A device says each minute what it heard; if it has not for so long, a record is missing and not only late."""
_ARRIVES_WITHIN_MS = 180_000
"""Younger records may still be on their way."""
_SMALLEST_RAW_RANGE_MS = 6 * time_range.HOUR_MS


@dataclass(frozen=True)
class Grid:
    """Means over steps, from the first to the last step that holds a reading."""

    range: Range
    """What was looked at: the asked range, in whole slots of the rollup."""
    step_ms: int
    timestamps: Ints
    """Start of each step, Unix ms, shape (n,)."""
    means: dict[str, Floats]
    """Mean score of each label, nan where a step holds none, shape (n,)."""
    readings: Ints
    uncertain: Ints

    def evidence(self, since: int) -> "Evidence":
        """Return what the steps tell about absence, from a time on (Unix ms) of which all is kept."""
        if not self.timestamps.size:
            return Evidence(since, [], [])
        first = int(self.timestamps[0])
        mostly = self.uncertain * 2 > self.readings
        return Evidence(since, runs(self.readings > 0, first, self.step_ms), runs(mostly, first, self.step_ms))


class Evidence(NamedTuple):
    """Steps that hold readings, as intervals in Unix ms."""

    since: int
    """Earlier records may be gone by their age."""
    readings: list[Interval]
    uncertain: list[Interval]
    """Steps in which most readings were uncertain."""


class Span(NamedTuple):
    """A stretch of time without a clear emotion, and why; Unix ms."""

    kind: SpanKind
    start: int
    end: int


@dataclass
class Tally:
    """Sums of one label over a range, scores in ten-thousandths."""

    readings: int = 0
    total: float = 0.0
    won_total: float = 0.0
    all: Ints = field(default_factory=lambda: np.zeros(BINS, np.int64))
    """Readings by tenths of confidence."""
    won: Ints = field(default_factory=lambda: np.zeros(BINS, np.int64))
    """The same over the readings of speech that the label won."""


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


def grid(store: RedisStore, device: str, asked: Range, step_ms: int) -> Grid:
    """Return the means over steps of a range."""
    level = time_range.resolution(step_ms)
    inside = time_range.widen(asked, level.slot_ms) if level else asked
    parts = list(_parts(store, device, level, inside))
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


def _parts(store: RedisStore, device: str, level: rollups.Resolution | None, inside: Range) -> Iterator[_Part]:
    """Yield what a range holds, of single readings or of a rollup."""
    if level is None:
        for raw in store.readings(device, *inside):
            if raw.at.size:
                uncertain = (~raw.speech).astype(np.int64)
                yield _Part(raw.schema.labels, raw.at, np.ones_like(raw.at), uncertain, raw.scores * SCORE_UNITS)
    else:
        for rolled in store.rollups(device, level, *inside):
            if rolled.at.size:
                yield _Part(rolled.schema.labels, rolled.at, rolled.count, rolled.uncertain, rolled.sums)


def spans(store: RedisStore, device: str, inside: Range, now: int, evidence: Evidence | None = None) -> list[Span]:
    """Return when nothing was said and why, in order of time.

    Args:
        store: What knows.
        device: Device id.
        inside: Where to look.
        now: The store's clock, Unix ms.
        evidence: Steps with readings; without it there are no spans `uncertain` and `missing`.
    """
    heard = store.heard(device, *inside)
    # Records follow each other by the clock of the device, which may be corrected by a little between two.
    listening = heard.windows > 0
    listened = join_many(heard.start[listening], heard.end[listening], _SLACK_MS)
    silent = listening & (heard.silent >= heard.windows)
    events = store.events(device, *inside)
    ends = [*(event.at for event in events[1:]), now]  # one too many where there is no event
    states = {
        state: [(event.at, end) for event, end in zip(events, ends, strict=False) if event.state == state]
        for state in ("online", "offline", "paused")
    }
    kinds: dict[SpanKind, list[Interval]] = {
        "silence": join_many(heard.start[silent], heard.end[silent], _SLACK_MS),
        "paused": states["paused"],
        # What a device heard while it had no connection has arrived since.
        "offline": without(states["offline"], listened),
    }
    if evidence:
        kinds["uncertain"] = evidence.uncertain
        judged = clip(states["online"], evidence.since, now - _ARRIVES_WITHIN_MS)
        absent = without(clip(judged, *inside), join([*listened, *evidence.readings]))
        kinds["missing"] = [(start, end) for start, end in absent if end - start >= _UNHEARD_MS]
    return sorted(
        (Span(kind, start, end) for kind, intervals in kinds.items() for start, end in clip(intervals, *inside)),
        key=lambda span: span.start,
    )


def summary(store: RedisStore, device: str, asked: Range, *, raw_is_kept: bool) -> Summary:
    """Return the sums over a range; a long one is widened to whole minutes."""
    if raw_is_kept and asked.end - asked.start <= _SMALLEST_RAW_RANGE_MS:
        result = Summary(asked)
        for raw in store.readings(device, *asked):
            _add_readings(result, raw)
        return result
    result = Summary(time_range.widen(asked, rollups.MINUTE.slot_ms))
    for rolled in store.totals(device, *result.range):
        _add_rollups(result, rolled)
    return result


def _add_readings(result: Summary, raw: Readings) -> None:
    """Add single readings to a summary, by the same rules as `store.lua` adds them to a rollup."""
    if not raw.at.size:
        return
    result.readings += raw.at.size
    result.uncertain += int((~raw.speech).sum())
    units = np.rint(raw.scores * SCORE_UNITS).astype(np.int64)
    bins = np.minimum(units // (SCORE_UNITS // BINS), BINS - 1)
    winner = np.where(raw.speech, units.argmax(axis=1), -1)
    for column, label in enumerate(raw.schema.labels):
        tally = result.labels.setdefault(label, Tally())
        won = winner == column
        tally.readings += raw.at.size
        tally.total += float(units[:, column].sum())
        tally.won_total += float(units[won, column].sum())
        tally.all += np.bincount(bins[:, column], minlength=BINS)
        tally.won += np.bincount(bins[won, column], minlength=BINS)


def _add_rollups(result: Summary, rolled: Rollups) -> None:
    """Add rollups to a summary."""
    count = int(rolled.count.sum(dtype=np.int64))
    result.readings += count
    result.uncertain += int(rolled.uncertain.sum(dtype=np.int64))
    for column, label in enumerate(rolled.schema.labels):
        tally, sums = result.labels.setdefault(label, Tally()), rolled.table["labels"][:, column]
        tally.readings += count
        tally.total += float(sums["sum"].sum(dtype=np.float64))
        tally.won_total += float(sums["won_sum"].sum(dtype=np.float64))
        tally.all += sums["all"].sum(axis=0, dtype=np.int64)
        tally.won += sums["won"].sum(axis=0, dtype=np.int64)


def overlapping(boots: list[Boot]) -> bool:
    """Return whether two boots sent in turns for the same time, so that two devices have one id.

    A device whose clock steps back over a restart has two boots for the same time too, but the second one's records
    come after all of the first one's.

    Args:
        boots: Sorted by their first time.
    """
    open_boots: list[Boot] = []
    for boot in boots:
        open_boots = [other for other in open_boots if other.last_at > boot.first_at]
        for other in open_boots:
            if other.last_arrival > boot.first_arrival and boot.last_arrival > other.first_arrival:
                return True
        open_boots.append(boot)
    return False


def facts(result: Summary) -> dict[str, Any]:
    """Return a summary as REST says it, without its range."""
    labels = {}
    for label in sorted(result.labels):
        tally = result.labels[label]
        count = int(tally.won.sum())
        labels[label] = {
            "mean_confidence": _ratio(tally.won_total, count * SCORE_UNITS),
            "mean_score": _ratio(tally.total, tally.readings * SCORE_UNITS),
            "share": _ratio(count, result.count),
            "count": count,
            "histogram": {
                "edges": [tenth / BINS for tenth in range(BINS + 1)],
                "won": tally.won.tolist(),
                "all": tally.all.tolist(),
            },
        }
    won_total = sum(tally.won_total for tally in result.labels.values())
    return {
        "readings": result.readings,
        "labels": labels,
        "overall": {"mean_confidence": _ratio(won_total, result.count * SCORE_UNITS), "count": result.count},
        "uncertain": {"count": result.uncertain, "share": _ratio(result.uncertain, result.readings)},
    }


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
