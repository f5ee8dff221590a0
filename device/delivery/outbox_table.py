"""The table of records that wait, in a database on disk or in memory.

Few bytes go to an SD card: one b-tree without an index, in which a record's key is the number of its boot and its own
(so that the oldest come first), small pages, and records that have left are deleted together with the next change.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from broker.messages import MAX_SEQ
from device.delivery.timestamps import Dated, Held, Kind

SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE boots (
    number INTEGER PRIMARY KEY,     -- oldest first
    name TEXT NOT NULL,             -- as on the wire
    kernel TEXT NOT NULL            -- run of the machine in which held_ms counts
) STRICT;
CREATE TABLE rows (
    id INTEGER PRIMARY KEY,         -- boot's number and seq: oldest first
    kind TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    synced INTEGER NOT NULL,        -- whether at_ms is to be believed
    held_ms INTEGER,                -- by the monotonic clock, while the record waits for its date
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE refused (boot TEXT NOT NULL, seq INTEGER NOT NULL, why TEXT NOT NULL, payload BLOB NOT NULL) STRICT;
"""
_PAGE_BYTES = 1024
_SEQ_BITS = MAX_SEQ.bit_length()
REFUSED_KEPT = 1_000
"""Refused rows are set aside for people to look at; only so many."""
JUDGED_AT_ONCE = 5_000


class Row(NamedTuple):
    """One record that waits to be sent."""

    kind: Kind
    boot: str
    seq: int
    payload: bytes


class Entry(NamedTuple):
    """One record with what the outbox knows about it."""

    row: Row
    at_ms: int
    synced: bool
    held_ms: int | None
    kernel_boot: str


class Refused(NamedTuple):
    """One record that the server will never take."""

    boot: str
    seq: int
    why: str
    payload: bytes


def connect(database: str) -> sqlite3.Connection:
    """Open a database that keeps rows, a file or ":memory:", and set it up for few writes."""
    db = sqlite3.connect(database, timeout=1.0, check_same_thread=False, isolation_level=None)
    try:
        db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # it syncs when the log is full, not at each change
        db.execute("PRAGMA secure_delete = FAST")  # what is deleted is overwritten where that costs no write
        db.execute("PRAGMA temp_store = MEMORY")
    except sqlite3.Error:
        db.close()
        raise
    return db


def make_tables(db: sqlite3.Connection, meta: dict[str, str]) -> None:
    """Make the tables of a new database, all or nothing; `meta` says whose they are."""
    with _transaction(db):
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


class Rows:
    """Records in the tables of one connection, which it closes.

    A row that has left is only hidden, in memory, until the next change of the database; so what has left and was not
    yet deleted when the power went is there again. Nothing but `hide` and what reads works on a full disk.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        db.execute("CREATE TEMP TABLE gone (id INTEGER PRIMARY KEY)")
        self._numbers: dict[str, int] = dict(db.execute("SELECT name, number FROM boots"))
        self._names = {number: name for name, number in self._numbers.items()}
        self.count: int
        self.bytes: int
        """Of their payloads."""
        self.held: int
        """How many of them wait for their date."""
        facts = db.execute("SELECT count(*), coalesce(sum(length(payload)), 0), count(held_ms) FROM rows").fetchone()
        self.count, self.bytes, self.held = facts
        self.hidden = 0
        """How many have left and are not deleted; they are not counted above."""
        self.refused_count = int(db.execute("SELECT count(*) FROM refused").fetchone()[0])
        self.generation = int(self.meta("generation") or 0)

    def close(self) -> None:
        """Close the connection."""
        self.db.close()

    def meta(self, key: str) -> str | None:
        """Return a kept value."""
        found = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(found[0]) if found else None

    def set_meta(self, key: str, value: str) -> None:
        """Keep a value."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def forget_boots(self) -> None:
        """Delete the names of boots of which nothing waits."""
        empty = [number for number in self._names if not self._any_of(number)]
        if empty:
            self.db.executemany("DELETE FROM boots WHERE number = ?", [(number,) for number in empty])
            for number in empty:
                del self._numbers[self._names.pop(number)]

    def insert(self, entries: Iterable[Entry], refused: Iterable[Refused] = ()) -> None:
        """Add records, and delete what has left, all or nothing."""
        numbers = dict(self._numbers)
        count = length = held = refusals = 0
        with _transaction(self.db):
            self._delete_hidden()
            for entry in entries:
                row = entry.row
                if row.boot not in numbers:
                    numbers[row.boot] = max(numbers.values(), default=0) + 1
                    values = (numbers[row.boot], row.boot, entry.kernel_boot)
                    self.db.execute("INSERT INTO boots VALUES (?, ?, ?)", values)
                self.db.execute(
                    "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        numbers[row.boot] << _SEQ_BITS | row.seq,
                        row.kind,
                        entry.at_ms,
                        entry.synced,
                        entry.held_ms,
                        row.payload,
                    ),
                )
                count, length, held = count + 1, length + len(row.payload), held + (entry.held_ms is not None)
            for one in refused:
                self.db.execute("INSERT INTO refused VALUES (?, ?, ?, ?)", one)
                refusals += 1
            if refusals:
                newest = "SELECT max(rowid) FROM refused"
                self.db.execute(f"DELETE FROM refused WHERE rowid <= ({newest}) - ?", (REFUSED_KEPT,))  # noqa: S608 - our own text
        self.hidden = 0
        self._numbers = numbers
        self._names = {number: name for name, number in numbers.items()}
        self.count, self.bytes, self.held = self.count + count, self.bytes + length, self.held + held
        self.refused_count = min(self.refused_count + refusals, REFUSED_KEPT)

    def sweep(self) -> None:
        """Delete what has left."""
        if self.hidden:
            self.insert(())

    def oldest(self, limit: int) -> list[Row]:
        """Return records that wait to be sent, oldest first."""
        return self._select("held_ms IS NULL", limit)

    def span(self, boot: str, first: int, last: int) -> list[Row]:
        """Return those that wait to be sent of a range of one boot, both ends included."""
        return self._select("held_ms IS NULL AND id BETWEEN ? AND ?", -1, *self._ids(boot, first, last))

    def entries(self) -> list[Entry]:
        """Return everything, oldest first."""
        found = self.db.execute(
            "SELECT kind, name, rows.id & ?, payload, at_ms, synced, held_ms, kernel FROM rows "
            "CROSS JOIN boots ON number = rows.id >> ? WHERE rows.id NOT IN gone ORDER BY rows.id",
            (MAX_SEQ, _SEQ_BITS),
        )
        return [Entry(Row(*row[:4]), row[4], bool(row[5]), row[6], row[7]) for row in found]

    def refused(self) -> list[Refused]:
        """Return what the server will never take, oldest first."""
        return [Refused(*row) for row in self.db.execute("SELECT boot, seq, why, payload FROM refused ORDER BY rowid")]

    def oldest_at_ms(self) -> int | None:
        """Return the date of the oldest record."""
        found = self.db.execute("SELECT at_ms FROM rows WHERE id NOT IN gone ORDER BY id LIMIT 1").fetchone()
        return int(found[0]) if found else None

    def hide(self, boot: str, ranges: Iterable[tuple[int, int]]) -> None:
        """Let records leave; ranges include both ends."""
        for first, last in ranges:
            self._hide("id BETWEEN ? AND ?", *self._ids(boot, first, last))

    def hide_all(self) -> None:
        """Let everything leave."""
        self._hide("TRUE")

    def hide_oldest(self, count: int, length: int) -> int:
        """Let the oldest leave, at least so many records and bytes; return how many went."""
        last, hidden = None, 0
        for row_id, size in self.db.execute("SELECT id, length(payload) FROM rows WHERE id NOT IN gone ORDER BY id"):
            if count <= 0 and length <= 0:
                break
            last, count, length, hidden = row_id, count - 1, length - size, hidden + 1
        self._hide("id <= ?", last)
        return hidden

    def hide_before(self, oldest_ms: int, now_ms: int) -> int:
        """Let leave what is older than a moment; return how many went.

        Records lie in the order in which they were made, whatever the clock said. So the dates that are to be believed
        decide: what was made before an outdated record is at least as old. Later than now is not to be believed. Only
        so many are looked at, so that nobody waits long for this; the next call goes on.
        """
        last = None
        for row_id, at_ms, synced in self.db.execute(
            "SELECT id, at_ms, synced FROM rows WHERE held_ms IS NULL AND id NOT IN gone ORDER BY id LIMIT ?",
            (JUDGED_AT_ONCE,),
        ):
            if synced and at_ms < oldest_ms:
                last = row_id
            elif synced and at_ms <= now_ms:
                break
        before = self.count
        self._hide("id <= ?", last)
        return before - self.count

    def date_held(self, date: Callable[[Held], Dated | None]) -> None:
        """Ask for a date for each record that is held, and let those go that get one, all or nothing."""
        longer = released = 0
        found = self.db.execute(
            "SELECT rows.id, kind, payload, at_ms, held_ms, kernel FROM rows "
            "CROSS JOIN boots ON number = rows.id >> ? WHERE held_ms IS NOT NULL AND rows.id NOT IN gone",
            (_SEQ_BITS,),
        ).fetchall()
        with _transaction(self.db):
            for row_id, *facts in found:
                held = Held(*facts)
                dated = date(held)
                if dated:
                    self.db.execute(
                        "UPDATE rows SET at_ms = ?, synced = ?, payload = ?, held_ms = NULL WHERE id = ?",
                        (*dated, row_id),
                    )
                    longer += len(dated.payload) - len(held.payload)
                    released += 1
        self.bytes, self.held = self.bytes + longer, self.held - released

    def erase(self, generation: int) -> None:
        """Delete everything, for good, and keep the number of the generation that follows."""
        self.db.execute("PRAGMA secure_delete = ON")
        with _transaction(self.db):
            for table in ("rows", "gone", "refused", "boots"):
                self.db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            self.set_meta("generation", str(generation))
        self._numbers, self._names = {}, {}
        self.count = self.bytes = self.held = self.hidden = self.refused_count = 0
        self.generation = generation
        # Earlier deletions left something in pages that nothing uses, and all of it is in the log.
        self.db.execute("VACUUM")
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.execute("PRAGMA secure_delete = FAST")

    def _select(self, condition: str, limit: int, *values: int) -> list[Row]:
        found = self.db.execute(
            f"SELECT id, kind, payload FROM rows WHERE {condition} AND id NOT IN gone ORDER BY id LIMIT ?",  # noqa: S608 - our own texts
            (*values, limit),
        )
        return [Row(kind, self._names[id_ >> _SEQ_BITS], id_ & MAX_SEQ, payload) for id_, kind, payload in found]

    def _hide(self, condition: str, *values: int | None) -> None:
        count, length, held = self.db.execute(
            "SELECT count(*), coalesce(sum(length(payload)), 0), count(held_ms) "  # noqa: S608 - our own texts
            f"FROM rows WHERE {condition} AND id NOT IN gone",
            values,
        ).fetchone()
        if count:
            self.db.execute(f"INSERT OR IGNORE INTO gone SELECT id FROM rows WHERE {condition}", values)  # noqa: S608
            self.hidden += count
            self.count, self.bytes, self.held = self.count - count, self.bytes - length, self.held - held

    def _delete_hidden(self) -> None:
        if self.hidden:
            self.db.execute("DELETE FROM rows WHERE id IN gone")
            self.db.execute("DELETE FROM gone")

    def _any_of(self, number: int) -> bool:
        base = number << _SEQ_BITS
        return bool(
            self.db.execute("SELECT 1 FROM rows WHERE id BETWEEN ? AND ? LIMIT 1", (base, base | MAX_SEQ)).fetchone()
        )

    def _ids(self, boot: str, first: int, last: int) -> tuple[int, int]:
        """Return the keys of a range; an empty range for a boot that is not known."""
        if boot not in self._numbers:
            return 0, -1
        base = self._numbers[boot] << _SEQ_BITS
        return base | first, base | min(last, MAX_SEQ)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Change all or nothing."""
    with db:  # commits, or rolls back what an error left
        db.execute("BEGIN IMMEDIATE")
        yield
