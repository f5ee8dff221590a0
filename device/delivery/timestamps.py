"""When a record was made: the one place that decides its date, and whether the record is held for one.

A machine without a battery-backed clock starts with a wrong time and is told the right one by the network. Until then
records are held, with their time by the monotonic clock, and dated from it once the clock is synchronised. If the
machine starts again before that, nobody can tell any more when they were; a date of before moodwire was there, which a
server would call expired, is then replaced by the latest that is possible. A record that is not held may have been
sent, so its date never changes.
"""

from typing import Literal, NamedTuple

from device.system import clock as system
from device.system.clock import Clock

Phase = Literal["waiting", "synced", "timed_out"]
"""Of a process: the clock's first synchronisation is awaited, has come, or has not come in time."""

_LAST_MS = 2**48 - 1
"""The latest time that the wire can carry."""
_EARLIEST_MS = 1_759_276_800_000
"""2025-10-01: no record was made before that, whatever a clock says."""


class Stamp(NamedTuple):
    """When a record was made."""

    at_ms: int
    """Unix milliseconds; provisional while the record is held."""
    synced: bool
    """Whether the clock was synchronised when it gave `at_ms`."""
    held_ms: int | None
    """Time by the monotonic clock, of a record that is held; None: `at_ms` is final."""
    kernel_boot: str
    """The run of the machine in which `held_ms` counts."""


class Timestamps:
    """Stamps the records of one process; reads the clock for the first time when it is made.

    Args:
        wait_s: How long to wait for the clock's first synchronisation; 0: trust the clock as it is.
        clock: Tells the time.
    """

    def __init__(self, wait_s: float, clock: Clock = system) -> None:
        self.clock = clock
        self._wait_ms = round(wait_s * 1000)
        self._timeout_ms = clock.monotonic_ms() + self._wait_ms
        self._synced = clock.synced()

    @property
    def phase(self) -> Phase:
        """Whether the clock has been synchronised by now."""
        self._synced = self._synced or self.clock.synced()
        if self._synced:
            return "synced"
        return "waiting" if self.clock.monotonic_ms() < self._timeout_ms else "timed_out"

    def stamp(self, end_ms: int) -> Stamp:
        """Return the stamp of what ended at a moment of the monotonic clock."""
        # Read these before the time: a clock that is set in between must not make a wrong date look right.
        phase, synced = self.phase, self.clock.synced()
        held_ms = end_ms if phase == "waiting" else None
        return Stamp(self._unix_ms(end_ms), synced, held_ms, self.clock.kernel_boot())

    def release(self, stamp: Stamp, newest_held_ms: int) -> Stamp | None:
        """Return the final stamp of a record that is held; None while it must wait.

        Args:
            stamp: of the record.
            newest_held_ms: of the last record that is held of the same run of the machine.
        """
        assert stamp.held_ms is not None
        phase = self.phase
        if stamp.kernel_boot == self.clock.kernel_boot():
            if phase == "synced":
                return stamp._replace(at_ms=self._unix_ms(stamp.held_ms), synced=True, held_ms=None)
            if phase == "waiting" and self.clock.monotonic_ms() - stamp.held_ms < self._wait_ms:
                return None
        elif stamp.at_ms < _EARLIEST_MS:
            if phase == "waiting":
                return None
            if phase == "synced":
                before_start_ms = newest_held_ms - stamp.held_ms
                return stamp._replace(at_ms=self._unix_ms(-before_start_ms), synced=False, held_ms=None)
        return stamp._replace(synced=False, held_ms=None)

    def _unix_ms(self, end_ms: int) -> int:
        now_ms = self.clock.now_ms() - (self.clock.monotonic_ms() - end_ms)
        return min(max(0, now_ms), _LAST_MS)
