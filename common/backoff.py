"""Backoff: growing, jittered pauses between tries."""

import random


class Backoff:
    """Pauses between tries: a span that doubles each time, with jitter, so that many clients do not try in step.

    After "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): `least` 0.5 is its equal jitter, 0 its full
    jitter.

    Args:
        first_s: The first span.
        longest_s: The longest span.
        least: Shortest pause, as a share of its span, 0 to 1.
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
        """Start with the first span again, after a try that succeeded."""
        self._span_s = self._first_s
