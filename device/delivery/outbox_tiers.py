"""The outbox's table in two tiers: a file, and memory while the disk cannot be written."""

import logging
import os
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

from broker.messages import DroppedSpan
from common.outage import Outage
from device.delivery import dropped, outbox_file
from device.delivery.outbox_file import OutboxError
from device.delivery.outbox_table import OutboxTable, Refused, in_memory
from device.delivery.row import Row
from device.delivery.timestamps import Stamp
from device.system.clock import Clock
from device.system.identity import Owner

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_MS = 60_000
"""How long to leave a disk alone that could not be written."""
SWEEP_ROWS = 200
"""Removed rows that are deleted at once; fewer wait for the next insert."""


class Limits(NamedTuple):
    """How much an outbox keeps; beyond it the oldest rows go."""

    rows: int
    payload_bytes: int
    age_s: float


IN_MEMORY = Limits(rows=10_000, payload_bytes=8_000_000, age_s=0)
"""Nearly three hours at one record a second, and little beside what the process needs anyway."""


class OutboxTiers:
    """One table to its users: rows go into the file, or into memory until the disk can be written again.

    Rows in memory are newer than those in the file. The log says once that the disk fails, and once that it is back.

    Args:
        path: The file, in a folder of its own, which this process takes for itself.
        owner: Who fills it; a file of another owner is set aside.
        clock: Tells when to try the disk again.

    Raises:
        OutboxError: another process has the folder, or the file is of another version.
    """

    def __init__(self, path: Path, owner: Owner, clock: Clock) -> None:
        self._path = path
        self._owner = owner
        self._clock = clock
        self._folder: int | None = None
        self._file: OutboxTable | None = None
        self._memory = in_memory()
        self._outage = Outage(log)
        self._retry_ms = 0
        self._anew_ms = -RETRY_MS
        """When a damaged file was set aside last."""
        self.damaged = 0
        """Rows that were lost because the file was damaged."""
        self.generation = 0
        """Erase generation of all rows; a file that has missed an erasure gets no rows before it is erased."""
        try:
            self._open()
        except OutboxError:
            self._release()
            raise

    @property
    def count(self) -> int:
        """How many rows wait."""
        return sum(table.count for table in self._tables())

    @property
    def bytes(self) -> int:
        """How many bytes their payloads have."""
        return sum(table.bytes for table in self._tables())

    @property
    def held(self) -> int:
        """How many of them are held for their date."""
        return sum(table.held for table in self._tables())

    @property
    def refused_count(self) -> int:
        """How many records are set aside because the server will never take them."""
        return sum(table.refused_count for table in self._tables() if not self._has_missed_erasure(table))

    @property
    def dropped(self) -> tuple[DroppedSpan, ...]:
        """What had to go because there was too much, oldest first."""
        file = self._file
        spans = () if file is None or self._has_missed_erasure(file) else file.dropped
        return dropped.add(spans, self._memory.dropped)

    @property
    def is_writing(self) -> bool:
        """Whether rows go into the file; else they wait in memory."""
        return self._file is not None and not self._outage.is_on

    def insert(self, rows: Sequence[Row], refused: Sequence[Refused] = ()) -> None:
        """Add rows, and delete those that are removed."""
        if not self._write(lambda table: table.insert(rows, refused)):
            self._memory.insert(rows, refused)

    def oldest(self, limit: int) -> list[Row]:
        """Return rows that may be sent, oldest first."""
        return list(chain(*self._each(lambda table: table.oldest(limit))))[:limit]

    def span(self, boot: str, first: int, last: int) -> list[Row]:
        """Return those that may be sent of a range of one boot, both ends included."""
        return list(chain(*self._each(lambda table: table.span(boot, first, last))))

    def refused(self) -> list[Refused]:
        """Return what the server will never take, oldest first."""
        return list(chain(*self._each(lambda table: [] if self._has_missed_erasure(table) else table.refused())))

    def oldest_at_ms(self) -> int | None:
        """Return the date of the oldest row."""
        return next((at_ms for at_ms in self._each(OutboxTable.oldest_at_ms) if at_ms is not None), None)

    def remove(self, boot: str, ranges: Sequence[tuple[int, int]]) -> None:
        """Remove rows of one boot; ranges include both ends."""
        self._each(lambda table: table.remove(boot, ranges))
        if self._file and self._file.removed >= SWEEP_ROWS:
            self.sweep()

    def remove_older(self, oldest_ms: int, now_ms: int) -> int:
        """Remove rows from before `oldest_ms`, as far as dates are to be believed; return how many went."""
        return sum(self._each(lambda table: table.remove_older(oldest_ms, now_ms)))

    def trim(self, limits: Limits) -> int:
        """Remove the oldest rows beyond the limits, and beyond those of memory; return how many went."""
        over = self.count - limits.rows, self.bytes - limits.payload_bytes
        from_file = sum(self._try_file(lambda table: table.remove_oldest(*over)))
        rows = max(self.count - limits.rows, self._memory.count - IN_MEMORY.rows)
        length = max(self.bytes - limits.payload_bytes, self._memory.bytes - IN_MEMORY.payload_bytes)
        return from_file + self._memory.remove_oldest(rows, length)

    def release_held(self, release: Callable[[Stamp, int], Stamp | None]) -> None:
        """Restamp the rows that are held; those in a file that cannot be written stay held."""
        self._write(lambda table: table.release_held(release))
        self._memory.release_held(release)

    def sweep(self) -> None:
        """Delete the removed rows from the file, and what an erasure has left."""
        self._write(OutboxTable.sweep)
        if self.is_writing:
            self._erase_if_behind()

    def erase(self, generation: int) -> None:
        """Delete everything, for good, and go on with this generation."""
        self.generation = generation
        self._memory.erase(generation)
        self._try_file(OutboxTable.remove_all)
        if self.is_writing:
            self._erase_if_behind()

    def recover(self, *, now: bool = False) -> bool:
        """Move the rows from memory to the file, once in `RETRY_MS`; return whether there was a need and it worked.

        Args:
            now: Try even if the last try was sooner than that.
        """
        if self.is_writing and not self._memory.count:
            return False
        if not now and self._clock.monotonic_ms() < self._retry_ms:
            return False
        self._retry_ms = self._clock.monotonic_ms() + RETRY_MS
        if self._file is None:
            try:
                self._open()
            except OutboxError as error:
                self._fail(error)
        self._erase_if_behind()
        if self._file is None or self._file.generation < self.generation:
            return False
        rows, refused = self._memory.rows(), self._memory.refused()
        known = self._file.dropped
        self._file.dropped = dropped.add(known, self._memory.dropped)
        if not self._try_file(lambda table: table.insert(rows, refused)):
            if self._file:
                self._file.dropped = known
            return False
        self._memory.erase(self.generation)
        self._outage.end("outbox %s can be written again; %d records moved there from memory", self._path, len(rows))
        return True

    def close(self) -> int:
        """Close the file, and return how many rows were in memory only and are lost; `recover` first."""
        self.sweep()
        lost = self._memory.count
        self._release()
        return lost

    def _tables(self) -> list[OutboxTable]:
        file = self._file  # read once: another thread may ask how many are refused while the file goes
        return [file, self._memory] if file else [self._memory]

    def _has_missed_erasure(self, table: OutboxTable) -> bool:
        """Return whether a table is the file, and holds what could not be erased yet."""
        return table is self._file and table.generation < self.generation

    def _each(self, action: Callable[[OutboxTable], T]) -> list[T]:
        """Return what an action gives for the file, if it can be used, and for memory."""
        return [*self._try_file(action), action(self._memory)]

    def _write(self, action: Callable[[OutboxTable], None]) -> bool:
        """Change the file, and return whether that was done; a disk that failed is left alone until `recover`."""
        return self.is_writing and bool(self._try_file(action))

    def _try_file(self, action: Callable[[OutboxTable], T]) -> list[T]:
        """Return what an action gives for the file, in a list; an empty list if the file cannot be used."""
        if self._file is None:
            return []
        try:
            return [action(self._file)]
        except outbox_file.FAULTS as error:
            if outbox_file.is_damaged(error):
                self._begin_anew(error)
            else:
                self._fail(error)
        return []

    def _open(self, known: int | None = None) -> None:
        """Open the file, or make it; `known` is how many rows of a damaged one waited."""
        try:
            if self._folder is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._folder = outbox_file.lock(self._path.parent)
            self._file = outbox_file.open_table(self._path, self._owner)
            self.generation = max(self.generation, self._file.generation)
            self.damaged += outbox_file.salvage(self._path, self._file, self.generation, known)
            self.generation = max(self.generation, self._file.generation)
            self._erase_if_behind()
        except outbox_file.FAULTS as error:
            if outbox_file.is_damaged(error):
                self._begin_anew(error)
            else:
                self._close_file()  # it may lack what has yet to be salvaged, and nothing newer may come before that
                self._fail(error)

    def _begin_anew(self, error: Exception) -> None:
        """Set a damaged file aside, open a new one, and take the rows over that are whole."""
        known = self._file.count if self._file else None
        self._close_file()
        now_ms = self._clock.monotonic_ms()
        if now_ms < self._anew_ms + RETRY_MS:  # a disk that damages each new file is left alone for a while
            self._fail(error)
            return
        self._anew_ms = now_ms
        try:
            outbox_file.set_aside(self._path, "salvage")
        except OSError as unwritable:
            self._fail(unwritable)
            return
        log.error("outbox %s is damaged (%s); a new one begins", self._path, error)
        self._open(known)

    def _close_file(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _fail(self, error: Exception) -> None:
        self._outage.begin(
            "outbox %s cannot be written (%s); up to %d records wait in memory, trying again each minute",
            self._path,
            error,
            IN_MEMORY.rows,
        )
        self._retry_ms = self._clock.monotonic_ms() + RETRY_MS

    def _erase_if_behind(self) -> None:
        """Erase a file of an older generation: it has missed an erasure, and all newer rows are in memory.

        Scrub one in which an erasure has left traces.
        """
        if self._file and self._file.generation < self.generation:
            try:
                outbox_file.delete_aside(self._path)
            except OSError as error:
                self._fail(error)
            else:
                self._try_file(lambda table: table.erase(self.generation))
        elif self._file and self._file.has_traces:
            self._try_file(OutboxTable.scrub)

    def _release(self) -> None:
        """Close everything, and let another process have the folder."""
        self._close_file()
        self._memory.close()
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None
