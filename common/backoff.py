"""Backoff: growing, jittered pauses between tries."""

import random


class Backoff:
    """Pauses between tries; the span doubles each time, and jitter keeps many clients from trying in step.

    After "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): `least` 0.5 is its equal jitter, 0 its full
    jitter.

    Args:
        first_s: The first span.
        longest_s: The span no longer grows beyond this.
        least: The smallest share of a span that a pause lasts, 0 to 1.
    """

    def __init__(self, first_s: float, longest_s: float, least: float = 0.5) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._least = least
        self._span_s = first_s

    def next_s(self) -> float:
        """Return how long to wait now, in seconds, and double the span."""
        span_s, self._span_s = self._span_s, min(2 * self._span_s, self._longest_s)
        return span_s * random.uniform(self._least, 1.0)  # noqa: S311 - spreads tries, protects nothing

    def reset(self) -> None:
        """Begin with the first span again, because a try succeeded."""
        self._span_s = self._first_s
