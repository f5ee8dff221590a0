"""Backoff between tries."""

from common.backoff import Backoff


def test_pauses_double_with_jitter_up_to_the_longest_and_restart_after_a_reset() -> None:
    """Each pause lasts half to all of its span, and clients draw different ones."""
    backoff = Backoff(1, 5)

    for span_s in (1, 2, 4, 5, 5):
        assert span_s / 2 <= backoff.next_s() <= span_s
    backoff.reset()
    assert backoff.next_s() <= 1
    assert len({Backoff(1, 5).next_s() for _ in range(10)}) > 1
