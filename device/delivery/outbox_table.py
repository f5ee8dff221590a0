"""The table of rows that wait, in an SQLite database: a file, or memory.

Few bytes go to an SD card: one b-tree without an index, in which a row's key is the number of its boot and its own
`seq` (so that the oldest come first), small pages, and removed rows are deleted together with the next change.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from broker.messages import MAX_SEQ
from device.delivery.row import Row
from device.delivery.timestamps import Stamp

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
    synced INTEGER NOT NULL,        -- whether the clock was synchronised at at_ms
    held_ms INTEGER,                -- by the monotonic clock, while the row is held for its date
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE refused (boot TEXT NOT NULL, seq INTEGER NOT NULL, why TEXT NOT NULL, payload BLOB NOT NULL) STRICT;
"""
_PAGE_BYTES = 1024
_SEQ_BITS = MAX_SEQ.bit_length()
REFUSED_KEPT = 1_000
"""Refused rows kept for people to look at."""
JUDGED_AT_ONCE = 5_000
"""Rows that one `remove_older` looks at, so that nobody waits long for it."""


class Refused(NamedTuple):
    """One record that the server will never take."""

    boot: str
    seq: int
    why: str
    payload: bytes


class _Boot(NamedTuple):
    name: str
    kernel: str


def connect(database: str) -> sqlite3.Connection:
    """Open a database, a file or ":memory:", and set it up for few writes."""
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


def in_memory() -> "OutboxTable":
    """Return an empty table in memory."""
    db = connect(":memory:")
    make_tables(db, {})
    return OutboxTable(db)


class OutboxTable:
    """The rows of one database, whose connection it closes.

    A removed row is only marked, in memory, until the next change of the database. So a row that was marked when the
    power went is there again. On a full disk, `remove…` and all that reads go on working.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        db.execute("CREATE TEMP TABLE removed (id INTEGER PRIMARY KEY)")
        self._boots = {number: _Boot(*boot) for number, *boot in db.execute("SELECT number, name, kernel FROM boots")}
        self._numbers = {boot.name: number for number, boot in self._boots.items()}
        self.count: int
        self.bytes: int
        """Of their payloads."""
        self.held: int
        """How many of them are held for their date."""
        facts = db.execute("SELECT count(*), coalesce(sum(length(payload)), 0), count(held_ms) FROM rows").fetchone()
        self.count, self.bytes, self.held = facts
        self.removed = 0
        """How many are marked and not deleted; they are not counted above."""
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
        """Delete the boots of which no row waits."""
        empty = [number for number in self._boots if not self._any_of(number)]
        if empty:
            self.db.executemany("DELETE FROM boots WHERE number = ?", [(number,) for number in empty])
            for number in empty:
                del self._numbers[self._boots.pop(number).name]

    def insert(self, rows: Iterable[Row], refused: Iterable[Refused] = ()) -> None:
        """Add rows, and delete those that are removed, all or nothing."""
        boots, numbers = dict(self._boots), dict(self._numbers)
        count = length = held = refusals = 0
        with _transaction(self.db):
            self._delete_removed()
            for row in rows:
                stamp = row.stamp
                if row.boot not in numbers:
                    number = max(boots, default=0) + 1
                    boots[number], numbers[row.boot] = _Boot(row.boot, stamp.kernel_boot), number
                    self.db.execute("INSERT INTO boots VALUES (?, ?, ?)", (number, *boots[number]))
                id_ = numbers[row.boot] << _SEQ_BITS | row.seq
                values = (id_, row.kind, stamp.at_ms, stamp.synced, stamp.held_ms, row.payload)
                self.db.execute("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", values)
                count, length, held = count + 1, length + len(row.payload), held + (stamp.held_ms is not None)
            for one in refused:
                self.db.execute("INSERT INTO refused VALUES (?, ?, ?, ?)", one)
                refusals += 1
            if refusals:
                newest = "SELECT max(rowid) FROM refused"
                self.db.execute(f"DELETE FROM refused WHERE rowid <= ({newest}) - ?", (REFUSED_KEPT,))  # noqa: S608 - our own text
        self.removed = 0
        self._boots, self._numbers = boots, numbers
        self.count, self.bytes, self.held = self.count + count, self.bytes + length, self.held + held
        self.refused_count = min(self.refused_count + refusals, REFUSED_KEPT)

    def sweep(self) -> None:
        """Delete the rows that are removed."""
        if self.removed:
            self.insert(())

    def oldest(self, limit: int) -> list[Row]:
        """Return rows that may be sent, oldest first."""
        return self._select("held_ms IS NULL", limit=limit)

    def span(self, boot: str, first: int, last: int) -> list[Row]:
        """Return those that may be sent of a range of one boot, both ends included."""
        return self._select("held_ms IS NULL AND id BETWEEN ? AND ?", *self._ids(boot, first, last))

    def rows(self) -> list[Row]:
        """Return all rows, oldest first."""
        return self._select("TRUE")

    def refused(self) -> list[Refused]:
        """Return what the server will never take, oldest first."""
        return [Refused(*row) for row in self.db.execute("SELECT boot, seq, why, payload FROM refused ORDER BY rowid")]

    def oldest_at_ms(self) -> int | None:
        """Return the date of the oldest row."""
        found = self.db.execute("SELECT at_ms FROM rows WHERE id NOT IN removed ORDER BY id LIMIT 1").fetchone()
        return int(found[0]) if found else None

    def remove(self, boot: str, ranges: Iterable[tuple[int, int]]) -> None:
        """Remove rows of one boot; ranges include both ends."""
        for first, last in ranges:
            self._remove("id BETWEEN ? AND ?", *self._ids(boot, first, last))

    def remove_all(self) -> None:
        """Remove all rows."""
        self._remove("TRUE")

    def remove_oldest(self, count: int, length: int) -> int:
        """Remove the oldest rows, at least `count` of them and `length` bytes; return how many went."""
        if count <= 0 and length <= 0:
            return 0
        last, removed = None, 0
        for row_id, size in self.db.execute("SELECT id, length(payload) FROM rows WHERE id NOT IN removed ORDER BY id"):
            if count <= 0 and length <= 0:
                break
            last, count, length, removed = row_id, count - 1, length - size, removed + 1
        self._remove("id <= ?", last)
        return removed

    def remove_older(self, oldest_ms: int, now_ms: int) -> int:
        """Remove rows from before `oldest_ms`; return how many went.

        Rows lie in the order in which they were made, whatever the clock said. So dates of a synchronised clock decide:
        what lies before an outdated row is at least as old. A date later than now is not believed. Looks at
        `JUDGED_AT_ONCE` rows; the next call goes on.
        """
        last = None
        for row_id, at_ms, synced in self.db.execute(
            "SELECT id, at_ms, synced FROM rows WHERE held_ms IS NULL AND id NOT IN removed ORDER BY id LIMIT ?",
            (JUDGED_AT_ONCE,),
        ):
            if synced and at_ms < oldest_ms:
                last = row_id
            elif synced and at_ms <= now_ms:
                break
        before = self.count
        self._remove("id <= ?", last)
        return before - self.count

    def release_held(self, release: Callable[[Stamp], Stamp | None]) -> None:
        """Restamp each row that is held, all or nothing; one for which `release` returns None stays held."""
        if not self.held:
            return
        longer = released = 0
        with _transaction(self.db):
            for row in self._select("held_ms IS NOT NULL"):
                stamp = release(row.stamp)
                if stamp:
                    payload = row.restamped(stamp).payload
                    self.db.execute(
                        "UPDATE rows SET at_ms = ?, synced = ?, held_ms = NULL, payload = ? WHERE id = ?",
                        (stamp.at_ms, stamp.synced, payload, self._numbers[row.boot] << _SEQ_BITS | row.seq),
                    )
                    longer += len(payload) - len(row.payload)
                    released += 1
        self.bytes, self.held = self.bytes + longer, self.held - released

    def erase(self, generation: int) -> None:
        """Delete everything, for good, and keep the number of the generation that follows."""
        self.db.execute("PRAGMA secure_delete = ON")
        with _transaction(self.db):
            for table in ("rows", "removed", "refused", "boots"):
                self.db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            self.set_meta("generation", str(generation))
        self._boots, self._numbers = {}, {}
        self.count = self.bytes = self.held = self.removed = self.refused_count = 0
        self.generation = generation
        # Earlier deletions left something in pages that nothing uses, and all of it is in the log.
        self.db.execute("VACUUM")
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.execute("PRAGMA secure_delete = FAST")

    def _select(self, condition: str, *values: int, limit: int = -1) -> list[Row]:
        found = self.db.execute(
            "SELECT id, kind, payload, at_ms, synced, held_ms FROM rows "  # noqa: S608 - our own texts
            f"WHERE {condition} AND id NOT IN removed ORDER BY id LIMIT ?",
            (*values, limit),
        )
        rows = []
        for id_, kind, payload, at_ms, synced, held_ms in found:
            boot = self._boots[id_ >> _SEQ_BITS]
            stamp = Stamp(at_ms, bool(synced), held_ms, boot.kernel)
            rows.append(Row(kind, boot.name, id_ & MAX_SEQ, payload, stamp))
        return rows

    def _remove(self, condition: str, *values: int | None) -> None:
        count, length, held = self.db.execute(
            "SELECT count(*), coalesce(sum(length(payload)), 0), count(held_ms) "  # noqa: S608 - our own texts
            f"FROM rows WHERE {condition} AND id NOT IN removed",
            values,
        ).fetchone()
        if count:
            self.db.execute(f"INSERT OR IGNORE INTO removed SELECT id FROM rows WHERE {condition}", values)  # noqa: S608
            self.removed += count
            self.count, self.bytes, self.held = self.count - count, self.bytes - length, self.held - held

    def _delete_removed(self) -> None:
        if self.removed:
            self.db.execute("DELETE FROM rows WHERE id IN removed")
            self.db.execute("DELETE FROM removed")

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
