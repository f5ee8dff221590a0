"""Clocks of the machine, and whether its time is synchronised."""

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
    """The functions of this module; tests pass a clock that jumps, or that is set late or never."""

    def now_ms(self) -> int:
        """Return Unix milliseconds."""

    def monotonic_ms(self) -> int:
        """Return milliseconds since the machine started, which nobody can set."""

    def synced(self) -> bool:
        """Return whether the Unix time is synchronised."""

    def kernel_boot(self) -> str:
        """Return the id of this start of the machine, in which `monotonic_ms` counts."""


def now_ms() -> int:
    """Return Unix milliseconds."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Return milliseconds since the machine started, which nobody can set (CLOCK_BOOTTIME where there is one)."""
    return time.clock_gettime_ns(_MONOTONIC) // 1_000_000


def unix_ms(at_monotonic_ms: int) -> int:
    """Return Unix milliseconds of a moment of `monotonic_ms`, by the present clock."""
    return now_ms() - (monotonic_ms() - at_monotonic_ms)


def synced() -> bool:
    """Return whether the kernel's clock is synchronised (adjtimex(2)); False where it cannot be asked.

    Setting the clock by hand ends the synchronisation.
    """
    if sys.platform != "linux":
        return False
    # struct timex has 208 bytes; zeroed, its `modes` is 0, which only queries.
    state: int = _libc().adjtimex(ctypes.create_string_buffer(256))
    return 0 <= state < _TIME_ERROR


@cache
def kernel_boot() -> str:
    """Return the kernel's id of this start of the machine; an id of this process where the kernel has none."""
    try:
        return _KERNEL_BOOT.read_text().strip()
    except OSError:
        return secrets.token_hex(16)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
