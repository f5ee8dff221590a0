"""A token bucket: so much flows in each second, so much it holds, and who takes more has to wait."""

from typing import NamedTuple


class Limit(NamedTuple):
    """What a bucket allows."""

    per_s: float
    """Flows in each second."""
    burst: float
    """The bucket holds, and has at first."""


class Bucket:
    """A full bucket.

    Args:
        limit: How much it holds, and what flows in.
        now_s: The time on any clock that only goes forward, as in every other call.
    """

    __slots__ = ("_left", "_limit", "_then_s")

    def __init__(self, limit: Limit, now_s: float) -> None:
        self._limit = limit
        self._left = limit.burst
        self._then_s = now_s

    def take(self, amount: float, now_s: float) -> bool:
        """Take an amount and return True; take nothing and return False if there is less."""
        left = min(self._limit.burst, self._left + (now_s - self._then_s) * self._limit.per_s)
        enough = left >= amount
        self._left = left - amount if enough else left
        self._then_s = now_s
        return enough
