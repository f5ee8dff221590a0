"""Resources that the device process uses: processor, memory, disk, and time per window."""

import os
import resource
import shutil
import sys
import time
from collections import deque
from pathlib import Path

import numpy as np

KEPT_TIMINGS = 300
"""Five minutes at one window a second."""
_THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
_STATM = Path("/proc/self/statm")


class Timings:
    """Durations of the classifier for the latest windows; one thread adds, another reads."""

    def __init__(self) -> None:
        self._latest_ms: deque[float] = deque(maxlen=KEPT_TIMINGS)

    def add(self, duration_ms: float) -> None:
        """Append one duration, and drop the oldest."""
        self._latest_ms.append(duration_ms)

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the latest durations; 0 before the first."""
        return float(np.percentile(self._latest_ms, percent)) if self._latest_ms else 0.0


class CpuMeter:
    """Share of one core that the process uses."""

    def __init__(self) -> None:
        self._wall_s = time.monotonic()
        self._cpu_s = time.process_time()

    def ratio(self) -> float:
        """Return the share since the last call, 1 for a whole core."""
        wall_s, cpu_s = time.monotonic(), time.process_time()
        share = (cpu_s - self._cpu_s) / max(1e-9, wall_s - self._wall_s)
        self._wall_s, self._cpu_s = wall_s, cpu_s
        return share


def rss_bytes() -> int:
    """Return the resident memory of this process; its maximum so far where there is no /proc."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def process_age_s() -> float | None:
    """Return the seconds since this process started, to 0.01 (proc(5)); None where there is no /proc."""
    try:
        # The command's name, in parentheses, may contain blanks; field 22 of the line is the start time.
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    except FileNotFoundError:
        return None
    return uptime_s - ticks / os.sysconf("SC_CLK_TCK")


def temperature_c() -> float | None:
    """Return the processor's temperature; None on a machine that does not report it."""
    try:
        return int(_THERMAL.read_text()) / 1000
    except (OSError, ValueError):
        return None


def disk_free_bytes(folder: Path) -> int | None:
    """Return the free space of a folder's file system; None if it cannot be read."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
