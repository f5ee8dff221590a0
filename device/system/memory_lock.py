"""Memory lock: keeps the memory of this process, which holds sound, from being written to swap."""

import ctypes
import logging
import os
import sys
from pathlib import Path

log = logging.getLogger(__name__)

_CURRENT, _FUTURE, _ON_FAULT = 1, 2, 4  # linux/mman.h; the last one locks pages when they are first used
_SWAPS = Path("/proc/swaps")


def lock_memory(swaps: Path = _SWAPS) -> bool:
    """Lock all present and future memory into RAM (mlockall(2)); return whether that is allowed.

    The systemd unit allows it; an ordinary user may lock too little. Logs a warning if it fails and there is swap.

    Args:
        swaps: The kernel's list of swap spaces.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_CURRENT | _FUTURE | _ON_FAULT) == 0:
        return True
    if _has_swap(swaps):
        log.warning(
            "memory may not be locked (%s), so sound in it may be written to swap; run as the service does "
            "(`moodwire device install`), or switch swap off",
            os.strerror(ctypes.get_errno()),
        )
    return False


def _has_swap(swaps: Path) -> bool:
    try:
        return len(swaps.read_text().splitlines()) > 1  # the first line names the columns
    except OSError:
        return False
