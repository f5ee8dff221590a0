"""Pauses between tries double, vary within bounds, and begin anew after a success."""

from itertools import pairwise

import pytest

from common.backoff import Backoff


@pytest.mark.parametrize("least", [0.0, 0.5, 1.0])
def test_each_pause_lies_within_its_span(least: float) -> None:
    """A pause lasts between the least share of its span and the whole; spans double up to the longest."""
    for _ in range(200):
        backoff = Backoff(1.0, 10.0, least)
        for span_s in (1.0, 2.0, 4.0, 8.0, 10.0, 10.0):
            assert least * span_s <= backoff.next_s() <= span_s


def test_without_jitter_the_pauses_are_the_spans() -> None:
    """They double until the longest, whose multiple of the first it need not be."""
    backoff = Backoff(0.5, 3.0, least=1.0)

    assert [backoff.next_s() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_many_clients_do_not_try_in_step() -> None:
    """Pauses spread over their whole range: clients that lost one broker together come back one by one."""
    pauses_s = sorted(Backoff(1.0, 60.0).next_s() for _ in range(1_000))

    assert pauses_s[0] < 0.55
    assert pauses_s[-1] > 0.95
    assert max(later - earlier for earlier, later in pairwise(pauses_s)) < 0.05


def test_a_success_begins_anew() -> None:
    """After `reset` the first span comes again."""
    backoff = Backoff(1.0, 60.0, least=1.0)
    backoff.next_s()
    backoff.next_s()

    backoff.reset()

    assert [backoff.next_s(), backoff.next_s()] == [1.0, 2.0]
