"""The outbox: a record goes in before it goes out, and leaves only when it is confirmed.

Records wait in a file. While the disk takes nothing they wait in memory, and move to the file when it works again.
"""

import logging
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from device.delivery import outbox_file
from device.delivery.outbox_file import OutboxError, Owner
from device.delivery.outbox_table import Entry, Refused, Row, Rows, connect, make_tables
from device.delivery.timestamps import Kind, Phase, Timestamps

__all__ = ["Limits", "Outbox", "OutboxError", "Owner", "Row"]

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_MS = 60_000
"""How long to leave a disk alone that took nothing."""
SWEEP_ROWS = 200
"""So many rows that have left are deleted at once; fewer wait for the next record."""
RECENT_ROWS = 20
RECENT_MS = 5_000
"""A record is new for so long."""


class Limits(NamedTuple):
    """How much an outbox keeps; beyond it the oldest go."""

    rows: int
    payload_bytes: int
    age_s: float


IN_MEMORY = Limits(rows=10_000, payload_bytes=8_000_000, age_s=0)
"""Nearly three hours at one record a second, and little beside what the process needs anyway."""


class Outbox:
    """Records that wait; safe to use from several threads.

    A record that was put survives kill -9. After a power loss those of the last half minute may be missing, unless they
    were confirmed; and some that had left may be there again, which a server recognises.

    Args:
        path: The file, in a folder of its own: only one process at a time may have an outbox there.
        owner: Who fills it; a file of another owner is set aside and never sent.
        limits: How much it keeps.
        timestamps: Says when held records may go, and what time it is.

    Raises:
        OutboxError: another process has the folder, or the file is of another version.
    """

    def __init__(self, path: Path, owner: Owner, limits: Limits, timestamps: Timestamps) -> None:
        self.timestamps = timestamps
        self._path = path
        self._owner = owner
        self._limits = limits
        self._lock = threading.Lock()
        self._folder: int | None = None
        self._disk: Rows | None = None
        self._memory = _in_memory()
        self._full = False
        self._closed = False
        self._next_try_ms = 0
        self._judged: Phase | None = None
        self._recent: deque[tuple[int, str, int]] = deque(maxlen=RECENT_ROWS)
        self.generation = 0
        """Erase generation that new records belong to."""
        self.dropped = 0
        """Records that had to go unsent since this object was made."""
        self.damaged = 0
        """Files that were found damaged since this object was made; what was in them is set aside."""
        try:
            self._open()
        except OutboxError:
            self._memory.close()
            self._release_folder()
            raise

    def put(  # noqa: PLR0913 - what a record is, and when it was
        self,
        kind: Kind,
        boot: str,
        seq: int,
        at_ms: int,
        payload: bytes,
        *,
        synced: bool = True,
        held_ms: int | None = None,
    ) -> None:
        """Keep one record of the present generation; the oldest go, counted, when there are too many.

        Args:
            kind: Where it is sent to.
            boot: With `seq`, its identity.
            seq: Later records of a boot have higher ones.
            at_ms: Its date, Unix milliseconds.
            payload: Itself, encoded.
            synced: Whether the date is to be believed.
            held_ms: Its time by the monotonic clock, if it shall wait for its date.
        """
        entry = Entry(Row(kind, boot, seq, payload), at_ms, synced, held_ms, self.timestamps.clock.kernel_boot())
        with self._lock:
            self._look_after()
            if self._full or not self._on_disk(lambda disk: _insert(disk, entry), otherwise=False):
                self._memory.insert([entry])
            if held_ms is None:
                self._recent.append((self._now_ms(), boot, seq))
            else:
                self._judged = "waiting"  # it was, when this record was made
            self._keep_limits()

    def oldest(self, limit: int) -> list[Row]:
        """Return records that may be sent, oldest first."""
        with self._lock:
            self._look_after()
            rows = self._on_disk(lambda disk: disk.oldest(limit), otherwise=list[Row]())
            return rows + self._memory.oldest(limit - len(rows))

    def recent(self) -> list[Row]:
        """Return those that may be sent of the few put in the last seconds, oldest first."""
        with self._lock:
            self._look_after()
            while self._recent and self._now_ms() - self._recent[0][0] > RECENT_MS:
                self._recent.popleft()
            if not self._recent:
                return []
            boot = self._recent[-1][1]
            numbers = [seq for _, of_boot, seq in self._recent if of_boot == boot]
            return self._span(boot, min(numbers), max(numbers))

    def settle(self, boot: str, ranges: Iterable[tuple[int, int]]) -> None:
        """Forget records that are confirmed; ranges include both ends."""
        confirmed = list(ranges)
        with self._lock:
            self._hide(boot, confirmed)

    def refuse(self, boot: str, first: int, last: int, why: str) -> None:
        """Set records aside that the server will never take."""
        with self._lock:
            refused = [Refused(boot, row.seq, why, row.payload) for row in self._span(boot, first, last)]
            if self._full or not self._on_disk(lambda disk: _insert(disk, refused=refused), otherwise=False):
                self._memory.insert((), refused)
            self._hide(boot, [(first, last)])

    def raise_generation(self, generation: int) -> int:
        """Erase everything, which belongs to older generations, and go on with this one; return how much went."""
        with self._lock:
            if generation <= self.generation:
                return 0
            self.generation = generation
            erased = self._count()
            self._recent.clear()
            self._memory.erase(generation)
            self._on_disk(Rows.hide_all, otherwise=None)
            if not self._full:
                self._on_disk(lambda disk: disk.erase(generation), otherwise=None)
            return erased

    def drop_old(self) -> None:
        """Let go, counted, of what is older than the outbox keeps, while the clock can be believed.

        A machine that wakes in 1970, or is set to 2040, is not synchronised and drops nothing.
        """
        with self._lock:
            self._look_after()
            if not self._full:
                self._on_disk(Rows.sweep, otherwise=None)
            if self.timestamps.clock.synced():
                now_ms = self.timestamps.clock.now_ms()
                oldest_ms = now_ms - round(self._limits.age_s * 1000)
                self.dropped += self._on_disk(lambda disk: disk.hide_before(oldest_ms, now_ms), otherwise=0)
                self.dropped += self._memory.hide_before(oldest_ms, now_ms)

    def waiting(self) -> tuple[int, float]:
        """Return how many records wait, and the age of the oldest in seconds by the present clock."""
        with self._lock:
            oldest_ms = self._on_disk(Rows.oldest_at_ms, otherwise=None)
            if oldest_ms is None:
                oldest_ms = self._memory.oldest_at_ms()
            age_ms = 0 if oldest_ms is None else self.timestamps.clock.now_ms() - oldest_ms
            return self._count(), max(0, age_ms) / 1000

    def refused(self) -> list[tuple[str, int, str]]:
        """Return boot, number and reason of what the server will never take, oldest first."""
        with self._lock:
            found = self._on_disk(Rows.refused, otherwise=list[Refused]()) + self._memory.refused()
        return [(one.boot, one.seq, one.why) for one in found]

    @property
    def refused_count(self) -> int:
        """How many records are set aside because the server will never take them."""
        return self._memory.refused_count + (self._disk.refused_count if self._disk else 0)

    @property
    def state(self) -> Literal["ok", "full"]:
        """`full` while the disk takes nothing, so that records wait in memory only."""
        return "full" if self._full else "ok"

    def close(self) -> None:
        """Move to the disk what is still in memory, if it can be written, and close the file."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._next_try_ms = 0
            self._look_after()
            if not self._full:
                self._on_disk(Rows.sweep, otherwise=None)
            if self._memory.count:
                log.error("%d records were in memory only and are lost", self._memory.count)
                self.dropped += self._memory.count
            if self._disk:
                self._disk.close()
                self._disk = None
            self._memory.close()
            self._release_folder()

    def _open(self) -> None:
        """Open the file, or say that there is none for now."""
        try:
            if self._folder is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._folder = outbox_file.lock(self._path.parent)
            self._disk = outbox_file.open_rows(self._path, self._owner)
        except sqlite3.DatabaseError as error:
            if not outbox_file.is_damaged(error):
                self._go_on_in_memory(error)
            elif self._set_aside(error):
                self._open()
        except OSError as error:
            self._go_on_in_memory(error)
        else:
            self.generation = max(self.generation, self._disk.generation)
            self._judged = None

    def _on_disk(self, action: Callable[[Rows], T], *, otherwise: T) -> T:
        """Return what an action on the file gives; if that fails, say so and go on without."""
        if self._disk is None:
            return otherwise
        try:
            return action(self._disk)
        except sqlite3.OperationalError as error:
            self._go_on_in_memory(error)
        except sqlite3.DatabaseError as error:
            if not outbox_file.is_damaged(error):
                raise
            self._disk.close()
            self._disk = None
            if self._set_aside(error):
                self._open()
        return otherwise

    def _go_on_in_memory(self, error: Exception) -> None:
        if not self._full:
            log.error(
                "outbox %s cannot be written (%s); up to %d records wait in memory, trying again each minute",
                self._path,
                error,
                IN_MEMORY.rows,
            )
        self._full = True
        self._next_try_ms = self._now_ms() + RETRY_MS

    def _set_aside(self, error: sqlite3.Error) -> bool:
        """Rename a damaged file, and return whether that was possible."""
        self.damaged += 1
        try:
            kept = outbox_file.set_aside(self._path, "damaged")
        except OSError as unwritable:
            self._go_on_in_memory(unwritable)
            return False
        log.error("outbox %s is damaged (%s); it is kept as %s, and a new one begins", self._path, error, kept.name)
        return True

    def _look_after(self) -> None:
        """Do what has become possible: move what is in memory to the disk, and let go what waited for the clock."""
        if (self._full or self._memory.count) and self._now_ms() >= self._next_try_ms:
            self._next_try_ms = self._now_ms() + RETRY_MS
            self._move_to_disk()
        if self._judged != (phase := self.timestamps.phase):
            self._date_held(phase)

    def _date_held(self, phase: Phase) -> None:
        """Let go what waited for the clock; what is on a disk that takes nothing waits for that, too."""
        self._memory.date_held(self.timestamps.date)
        on_disk = bool(self._disk and self._disk.held)
        if on_disk and not self._full:
            on_disk = not self._on_disk(lambda disk: _date_held(disk, self.timestamps), otherwise=False)
        if not on_disk:
            self._judged = phase

    def _move_to_disk(self) -> None:
        if self._disk is None:
            try:
                self._open()
            except OutboxError as error:
                self._go_on_in_memory(error)
        generation = self.generation
        if self._disk and self._disk.generation < generation:
            self._on_disk(lambda disk: disk.erase(generation), otherwise=None)
        entries, refused = self._memory.entries(), self._memory.refused()
        if not self._on_disk(lambda disk: _insert(disk, *entries, refused=refused), otherwise=False):
            return
        if self._full:
            log.info("outbox %s can be written again; %d records moved there from memory", self._path, len(entries))
        self._full = False
        self._memory.erase(generation)
        self._keep_limits()

    def _keep_limits(self) -> None:
        over = self._count() - self._limits.rows, self._bytes() - self._limits.payload_bytes
        if max(over) > 0:
            self.dropped += self._on_disk(lambda disk: disk.hide_oldest(*over), otherwise=0)
        rows = max(self._count() - self._limits.rows, self._memory.count - IN_MEMORY.rows)
        length = max(self._bytes() - self._limits.payload_bytes, self._memory.bytes - IN_MEMORY.payload_bytes)
        if max(rows, length) > 0:
            self.dropped += self._memory.hide_oldest(rows, length)

    def _hide(self, boot: str, ranges: list[tuple[int, int]]) -> None:
        self._on_disk(lambda disk: disk.hide(boot, ranges), otherwise=None)
        self._memory.hide(boot, ranges)
        if self._disk and self._disk.hidden >= SWEEP_ROWS and not self._full:
            self._on_disk(Rows.sweep, otherwise=None)

    def _span(self, boot: str, first: int, last: int) -> list[Row]:
        rows = self._on_disk(lambda disk: disk.span(boot, first, last), otherwise=list[Row]())
        return rows + self._memory.span(boot, first, last)

    def _count(self) -> int:
        return self._memory.count + (self._disk.count if self._disk else 0)

    def _bytes(self) -> int:
        return self._memory.bytes + (self._disk.bytes if self._disk else 0)

    def _now_ms(self) -> int:
        return self.timestamps.clock.monotonic_ms()

    def _release_folder(self) -> None:
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None


def _in_memory() -> Rows:
    db = connect(":memory:")
    make_tables(db, {})
    return Rows(db)


def _insert(rows: Rows, *entries: Entry, refused: Iterable[Refused] = ()) -> bool:
    rows.insert(entries, refused)
    return True


def _date_held(rows: Rows, timestamps: Timestamps) -> bool:
    rows.date_held(timestamps.date)
    return True
