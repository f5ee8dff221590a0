"""What time it is, and whether the machine knows it."""

import ctypes
import secrets
import sys
import time
from functools import cache
from pathlib import Path
from typing import Protocol

_TIME_ERROR = 5
_MONOTONIC: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_KERNEL_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """What this module offers, so that tests can bring a clock that jumps, is set late, or never."""

    def now_ms(self) -> int:
        """Return Unix milliseconds."""

    def monotonic_ms(self) -> int:
        """Return milliseconds since the machine started."""

    def synced(self) -> bool:
        """Return whether the clock is synchronised."""

    def kernel_boot(self) -> str:
        """Return the name of this run of the machine."""


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
    """Return whether the kernel's clock is synchronised (adjtimex(2)); False where there is no telling.

    Whoever sets the clock by hand also tells the kernel that it is no longer synchronised.
    """
    if sys.platform != "linux":
        return False
    # struct timex is 208 bytes; zeroed, `modes` is 0, which only asks.
    state: int = _libc().adjtimex(ctypes.create_string_buffer(256))
    return 0 <= state < _TIME_ERROR


@cache
def kernel_boot() -> str:
    """Return the name of this run of the machine, in which `monotonic_ms` counts; one of this process where none is."""
    try:
        return _KERNEL_BOOT.read_text().strip()
    except OSError:
        return secrets.token_hex(16)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
