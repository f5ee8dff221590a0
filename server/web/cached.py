"""A value that is made at most once in a while, however many ask for it at the same time."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Cached(Generic[T]):
    """Makes a value when it is asked for; safe in several threads, of which one makes it while the others wait.

    Args:
        make: Makes the value.
        fresh_s: How long a value is taken for fresh, from when it was made.
        clock_s: Tells the time; seconds of any start.
    """

    def __init__(self, make: Callable[[], T], fresh_s: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._fresh_s = fresh_s
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._made: tuple[T, float] | None = None
        """The value, and until when it is fresh."""

    def __call__(self) -> T:
        """Return the value."""
        with self._lock:
            if self._made is None or self._clock_s() >= self._made[1]:
                value = self._make()
                self._made = value, self._clock_s() + self._fresh_s
            return self._made[0]
