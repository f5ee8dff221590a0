"""What time it is, and whether the machine knows it."""

import ctypes
import sys
import time

_TIME_ERROR = 5
_MONOTONIC: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_ms() -> int:
    """Return Unix milliseconds."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Return milliseconds since the machine started, which no one can set (CLOCK_BOOTTIME where there is one)."""
    return time.clock_gettime_ns(_MONOTONIC) // 1_000_000


def unix_ms(at_monotonic_ms: int) -> int:
    """Return what the present clock says of a moment of `monotonic_ms`."""
    return now_ms() - (monotonic_ms() - at_monotonic_ms)


def synced() -> bool:
    """Return whether the kernel's clock is synchronised (adjtimex(2)); False where there is no telling."""
    if sys.platform != "linux":
        return False
    # struct timex is 208 bytes; zeroed, `modes` is 0, which only asks.
    state: int = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(256))
    return 0 <= state < _TIME_ERROR
