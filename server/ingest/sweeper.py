"""Sweeps what is past the retention out of the store once an hour, only by clocks that others vouch for.

Half of the synchronised devices must agree with the store's clock, or there must be none. Without any, nothing goes
faster than the steady clock has gone since the last sweep: a clock that was set ahead meanwhile takes nothing, and a
server without devices still forgets, if later by the time in which it did not run.
"""

import logging

from common.outage import Outage
from server.ingest.clock_trust import ClockWatch, steady_s
from server.store.retention import Retention

log = logging.getLogger(__name__)

FIRST_S = 600.0
"""After the start: devices had the time to say what they know of the clock."""
EVERY_S = 3600.0
AGAIN_S = 300.0
"""After a sweep was put off."""


class Sweeper:
    """What is due now, a small step at each call.

    Args:
        retention: The store's half.
        clock_watch: What is known of the clocks.
    """

    def __init__(self, retention: Retention, clock_watch: ClockWatch) -> None:
        self._retention = retention
        self._clock_watch = clock_watch
        self._outage = Outage(log)
        self._keeps_all = False
        self._after = ""
        self._days = 0
        self._due_s = steady_s() + FIRST_S
        self._believed: tuple[int, float] | None = None
        """Until when the clocks were believed last, Unix ms, and the steady clock then."""

    def turn(self, store_ms: int) -> None:
        """Do the next step.

        Args:
            store_ms: The store's clock, which the watch has just measured.

        Raises:
            StoreAwayError: the store does not answer.
        """
        if not self._keeps_all:
            self._keeps_all = self._retention.keep()
        if self._believed is None:
            self._believed = self._retention.begin(store_ms), steady_s()
        if steady_s() < self._due_s:
            return
        until_ms, reason = self._until(store_ms)
        if not reason:
            step = self._retention.sweep(self._after, until_ms)
            self._days += step.days
            reason = step.refusal
        if reason:
            self._put_off(reason)
        elif step.after is None:
            self._end(store_ms, until_ms)
        else:
            self._after = step.after

    def _until(self, store_ms: int) -> tuple[int, str]:
        """Return until when the clocks can be believed, Unix ms, or why they cannot."""
        assert self._believed is not None
        if doubt := self._clock_watch.doubt():
            return 0, doubt
        agree = self._clock_watch.devices_agree()
        if agree:
            return store_ms, ""
        if agree is None:
            believed_ms, then_s = self._believed
            return min(store_ms, believed_ms + round(1000 * (steady_s() - then_s))), ""
        return 0, "too few of the synchronised devices have sent anything that agrees with the clock of the server"

    def _put_off(self, reason: str) -> None:
        self._outage.begin("nothing is deleted by its age: %s", reason)
        self._retention.put_off(reason)
        self._due_s = steady_s() + AGAIN_S

    def _end(self, store_ms: int, until_ms: int) -> None:
        self._outage.end("what is past the retention is deleted again")
        self._retention.end(store_ms, until_ms)
        if self._days:
            log.info("deleted %d days of records that were past the retention, all devices together", self._days)
        self._believed = until_ms, steady_s()
        self._after, self._days = "", 0
        self._due_s = steady_s() + EVERY_S
