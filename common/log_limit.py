"""Lines of a log about what strangers send: so many for each of them, and a count of those that were left out."""

import time
from collections.abc import Callable

from common.bucket import Bucket, Limit

_MOST_KEYS = 10_000


class LogLimit:
    """Says which lines to log.

    Args:
        limit: Lines for each key.
        clock_s: Returns the time in seconds, since any start.
    """

    def __init__(self, limit: Limit, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock_s = clock_s
        self._buckets: dict[str, Bucket] = {}
        self._left_out: dict[str, int] = {}

    def left_out(self, key: str) -> int | None:
        """Return how many lines were left out since the last one of a key, or None if this one is to be left out."""
        now_s = self._clock_s()
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= _MOST_KEYS:  # more keys than that are a flood themselves
                self._buckets.clear()
                self._left_out.clear()
            bucket = self._buckets[key] = Bucket(self._limit, now_s)
        if bucket.take(1, now_s):
            return self._left_out.pop(key, 0)
        self._left_out[key] = self._left_out.get(key, 0) + 1
        return None
