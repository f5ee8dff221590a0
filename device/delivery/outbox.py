"""The outbox: a record goes in before it goes out, and leaves only when it is confirmed."""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from broker.messages import DroppedSpan
from device.delivery.outbox_file import OutboxError
from device.delivery.outbox_table import Refused
from device.delivery.outbox_tiers import Limits, OutboxTiers
from device.delivery.row import Row
from device.delivery.timestamps import Timestamps
from device.system.identity import Owner

__all__ = ["Limits", "Outbox", "OutboxError", "Owner"]

log = logging.getLogger(__name__)

UNDATED = "older than the server keeps by a clock that was not set: let this machine reach a time server"
"""Why such a record is set aside."""
RECENT_ROWS = 20
RECENT_MS = 5_000
"""How long a row counts as recent."""


class Outbox:
    """Records that wait to be confirmed; safe to use from several threads.

    A record that was put survives kill -9. After a power loss those of the last half minute may be missing, unless they
    were confirmed; and some that were confirmed may be there again, which the server recognises.

    Args:
        path: The file, in a folder of its own: only one process at a time may have an outbox there.
        owner: Who fills it; a file of another owner is set aside and never sent.
        limits: How much it keeps.
        timestamps: Releases records that are held for their date, and has the clock.

    Raises:
        OutboxError: another process has the folder, or the file is of another version.
    """

    def __init__(self, path: Path, owner: Owner, limits: Limits, timestamps: Timestamps) -> None:
        self.timestamps = timestamps
        self._limits = limits
        self._lock = threading.Lock()
        self._table = OutboxTiers(path, owner, timestamps.clock)
        self._table.release_held(timestamps.release)
        self._recent: deque[tuple[int, str, int]] = deque(maxlen=RECENT_ROWS)
        """Time of the monotonic clock, boot and number of the last rows that were put."""
        self._closed = False
        self.dropped = 0
        """Records that had to go unsent since this object was made."""

    def put(self, row: Row) -> None:
        """Keep a record of the present generation; the oldest go, counted, when there are too many.

        Later records of a boot have higher numbers.
        """
        with self._lock:
            self._maintain()
            self._table.insert([row])
            if row.stamp.held_ms is None:
                self._recent.append((self._now_ms(), row.boot, row.seq))
            self.dropped += self._table.trim(self._limits)

    def oldest(self, limit: int) -> list[Row]:
        """Return records that may be sent, oldest first."""
        with self._lock:
            self._maintain()
            return self._table.oldest(limit)

    def recent(self) -> list[Row]:
        """Return those that may be sent of the few put in the last seconds, oldest first."""
        with self._lock:
            self._maintain()
            while self._recent and self._now_ms() - self._recent[0][0] > RECENT_MS:
                self._recent.popleft()
            if not self._recent:
                return []
            boot = self._recent[-1][1]
            numbers = [seq for _, of_boot, seq in self._recent if of_boot == boot]
            return self._table.span(boot, min(numbers), max(numbers))

    def confirm(self, boot: str, ranges: Sequence[tuple[int, int]]) -> None:
        """Delete records that are confirmed; ranges include both ends."""
        with self._lock:
            self._table.remove(boot, ranges)

    def refuse(self, boot: str, first: int, last: int, why: str) -> None:
        """Set records aside that the server will never take."""
        with self._lock:
            rows = self._table.span(boot, first, last)
            self._table.insert((), [Refused(boot, row.seq, why, row.payload) for row in rows])
            self._table.remove(boot, [(first, last)])

    def expire(self, boot: str, first: int, last: int) -> int:
        """Delete records that are older than the server keeps, and return how many were dated by a clock not yet set.

        These may be younger than they say, so they are set aside like refused ones.
        """
        with self._lock:
            undated = [row for row in self._table.span(boot, first, last) if not row.stamp.synced]
            self._table.insert((), [Refused(boot, row.seq, UNDATED, row.payload) for row in undated])
            self._table.remove(boot, [(first, last)])
            return len(undated)

    def raise_generation(self, generation: int) -> int:
        """Erase everything, which belongs to older generations, and go on with this one; return how much went."""
        with self._lock:
            if generation <= self._table.generation:
                return 0
            erased = self._table.count
            self._recent.clear()
            self._table.erase(generation)
            return erased

    def drop_old(self) -> None:
        """Drop, counted, what is older than the outbox keeps, while the clock can be believed.

        A machine that wakes in 1970, or is set to 2040, is not synchronised and drops nothing.
        """
        clock = self.timestamps.clock
        with self._lock:
            self._maintain()
            self._table.sweep()
            if clock.synced():
                now_ms = clock.now_ms()
                self.dropped += self._table.remove_older(now_ms - round(self._limits.age_s * 1000), now_ms)

    def waiting(self) -> tuple[int, float]:
        """Return how many records wait, and the age of the oldest in seconds by the present clock."""
        with self._lock:
            oldest_ms = self._table.oldest_at_ms()
            age_ms = 0 if oldest_ms is None else self.timestamps.clock.now_ms() - oldest_ms
            return self._table.count, max(0, age_ms) / 1000

    def refused(self) -> list[tuple[str, int, str]]:
        """Return boot, number and reason of what the server will never take, oldest first."""
        with self._lock:
            return [(one.boot, one.seq, one.why) for one in self._table.refused()]

    @property
    def dropped_spans(self) -> tuple[DroppedSpan, ...]:
        """What had to go unsent, over restarts too, oldest first; at most `MOST_DROPPED_SPANS`."""
        with self._lock:
            return self._table.dropped

    @property
    def refused_count(self) -> int:
        """How many records are set aside because the server will never take them."""
        return self._table.refused_count

    @property
    def damaged(self) -> int:
        """About how many records are lost since this object was made because the file was damaged."""
        return self._table.damaged

    @property
    def generation(self) -> int:
        """Erase generation that new records belong to."""
        return self._table.generation

    @property
    def state(self) -> Literal["ok", "full"]:
        """`full` while the disk cannot be written, so that records wait in memory only."""
        return "ok" if self._table.is_writing else "full"

    def close(self) -> None:
        """Move to the disk what is still in memory, if it can be written, and close the file."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._maintain(now=True)
            lost = self._table.close()
            if lost:
                log.error("%d records were in memory only and are lost", lost)
                self.dropped += lost

    def _maintain(self, *, now: bool = False) -> None:
        """Do what has become possible: move rows from memory to the disk, and release those held for the clock."""
        recovered = self._table.recover(now=now)
        if recovered:
            self.dropped += self._table.trim(self._limits)
        if self._table.held and (recovered or self.timestamps.phase != "waiting"):
            self._table.release_held(self.timestamps.release)

    def _now_ms(self) -> int:
        return self.timestamps.clock.monotonic_ms()
