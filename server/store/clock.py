"""The store's clock, asked at most once a second by those for whom that is exact enough."""

import time
from collections.abc import Callable

_RECENT_S = 1.0


class StoreClock:
    """The clock as it was last read, going on with the steady clock of this machine.

    Args:
        ask: Returns the store's clock, Unix ms; may raise `StoreAwayError`.
    """

    def __init__(self, ask: Callable[[], int]) -> None:
        self._ask = ask
        self._read: tuple[int, float] | None = None

    def now(self) -> int:
        """Ask, and return Unix ms."""
        now = self._ask()
        self._read = now, time.monotonic()
        return now

    def recent_now(self) -> int:
        """Return Unix ms, without asking again what was asked in the last second."""
        read, steady_s = self._read, time.monotonic()
        if read is None or steady_s >= read[1] + _RECENT_S:
            return self.now()
        return read[0] + round(1000 * (steady_s - read[1]))
