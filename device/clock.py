"""What time it is, and whether the machine knows it."""

import ctypes
import sys
import time

_TIME_ERROR = 5


def now_ms() -> int:
    """Return Unix milliseconds."""
    return time.time_ns() // 1_000_000


def synced() -> bool:
    """Return whether the kernel's clock is synchronised (adjtimex(2)); False where there is no telling."""
    if sys.platform != "linux":
        return False
    # struct timex is 208 bytes; zeroed, `modes` is 0, which only asks.
    state: int = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(256))
    return 0 <= state < _TIME_ERROR
