"""Stretches of time are joined and subtracted as sets of moments would be."""

import itertools
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.query.intervals import Interval, clip, join, join_many, runs, without

INTERVALS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)).map(lambda both: (both[0], both[0] + both[1])))


def moments(intervals: list[Interval]) -> set[int]:
    """Return the moments that lie in intervals."""
    return {moment for start, end in intervals for moment in range(start, end)}


@given(INTERVALS, INTERVALS, st.integers(0, 3))
def test_intervals_are_sets_of_moments(some: list[Interval], others: list[Interval], slack: int) -> None:
    """Joined intervals are in order and apart; columns join as tuples do; what is taken out is out, the rest is in."""
    joined = join(some, slack)
    assert all(before[1] + slack < after[0] for before, after in itertools.pairwise(joined))
    assert moments(join(some)) == moments(some)
    columns = np.array(some, np.int64).reshape(-1, 2)
    assert join_many(columns[:, 0], columns[:, 1], slack) == joined
    assert moments(without(join(some), join(others))) == moments(some) - moments(others)
    assert moments(clip(some, 5, 20)) == moments(some) & set(range(5, 20))


@given(st.lists(st.booleans()))
def test_runs_are_the_chosen_steps(chosen: list[bool]) -> None:
    """Neighbouring steps are one run, and no run has a step that is not chosen."""
    found = runs(np.array(chosen, np.bool_), 100, 10)
    steps = {100 + 10 * number + inside for number, is_chosen in enumerate(chosen) if is_chosen for inside in range(10)}
    assert moments(found) == steps
    assert join(found) == found


class Whole(list[Interval]):
    """Intervals of which no part is copied."""

    def __getitem__(self, place: Any) -> Any:
        """Return one interval."""
        assert not isinstance(place, slice), "each interval copies the holes that follow"
        return super().__getitem__(place)


def test_holes_are_gone_through_once() -> None:
    """A day of ten thousand holes between ten thousand intervals is no square of them."""
    both = [(4 * n, 4 * n + 3) for n in range(10_000)]
    assert without(both, Whole((start + 1, start + 2) for start, _ in both))[:2] == [(0, 1), (2, 3)]
