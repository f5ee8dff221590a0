"""Intervals of time, (start, end) in ms, and how to join, subtract and clip them."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Interval = tuple[int, int]


def join(intervals: Iterable[Interval], slack_ms: int = 0) -> list[Interval]:
    """Return intervals in order; join those that overlap or are at most the slack apart."""
    joined: list[Interval] = []
    for start, end in sorted(intervals):
        if joined and start - joined[-1][1] <= slack_ms:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def join_many(starts: NDArray[np.int64], ends: NDArray[np.int64], slack_ms: int) -> list[Interval]:
    """Join many intervals, given as columns of shape (n,), as `join` does."""
    if not starts.size:
        return []
    order = np.argsort(starts, kind="stable")
    starts, reached = starts[order], np.maximum.accumulate(ends[order])
    breaks = np.flatnonzero(starts[1:] - reached[:-1] > slack_ms) + 1
    firsts, lasts = np.concatenate([[0], breaks]), np.concatenate([breaks, [starts.size]]) - 1
    return list(zip(starts[firsts].tolist(), reached[lasts].tolist(), strict=True))


def without(intervals: Sequence[Interval], holes: Sequence[Interval]) -> list[Interval]:
    """Return joined intervals without joined holes."""
    left: list[Interval] = []
    first = 0
    for start, end in intervals:
        while first < len(holes) and holes[first][1] <= start:
            first += 1
        at = start
        for place in range(first, len(holes)):
            hole_start, hole_end = holes[place]
            if hole_start >= end:
                break
            if hole_start > at:
                left.append((at, hole_start))
            at = max(at, hole_end)
        if at < end:
            left.append((at, end))
    return left


def clip(intervals: Iterable[Interval], start: int, end: int) -> list[Interval]:
    """Return the parts of intervals between two times."""
    return [(max(a, start), min(b, end)) for a, b in intervals if max(a, start) < min(b, end)]


def runs(chosen: NDArray[np.bool_], first_ms: int, step_ms: int) -> list[Interval]:
    """Return the intervals of the chosen steps; shape (steps,), the first step begins at first_ms."""
    edges = np.flatnonzero(np.diff(np.pad(chosen.astype(np.int8), 1)))
    times = (first_ms + edges * step_ms).tolist()
    return list(zip(times[::2], times[1::2], strict=True))
