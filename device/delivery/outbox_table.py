"""The table of rows that wait, in an SQLite database: a file, or memory.

Few bytes go to an SD card: one b-tree without an index, in which a row's key is the number of its boot and its own
`seq` (so that the oldest come first), small pages, and removed rows are deleted together with the next change.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

from broker.messages import MAX_SEQ
from device.delivery import dropped
from device.delivery.outbox_salvage import PAGE_BYTES, SEQ_BITS, Raw, meta_crc, whole_row
from device.delivery.row import Row
from device.delivery.timestamps import Stamp

SCHEMA_VERSION = 3
SCHEMA = """
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
    payload BLOB NOT NULL,
    crc INTEGER NOT NULL            -- row_crc
) STRICT;
CREATE TABLE refused (boot TEXT NOT NULL, seq INTEGER NOT NULL, why TEXT NOT NULL, payload BLOB NOT NULL) STRICT;
"""
_COLUMNS = "id, kind, at_ms, synced, held_ms, payload, crc"
_INSERT = f"INSERT INTO rows ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own text
_RESTORED_AT_ONCE = 500
_TRACES, DROPPED = "traces", "dropped"
"""Keys of what is kept beside the rows."""
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


class DamageError(sqlite3.DatabaseError):
    """The file is not as it was written, though SQLite can read it."""


class _Boot(NamedTuple):
    name: str
    kernel: str


def connect(database: str) -> sqlite3.Connection:
    """Open a database, a file or ":memory:", and set it up for few writes."""
    db = sqlite3.connect(database, timeout=1.0, check_same_thread=False, isolation_level=None)
    db.text_factory = _text
    try:
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # it syncs when the log is full, not at each change
        db.execute("PRAGMA secure_delete = FAST")  # what is deleted is overwritten where that costs no write
        db.execute("PRAGMA temp_store = MEMORY")
    except (sqlite3.Error, UnicodeDecodeError):
        db.close()
        raise
    return db


def make_tables(db: sqlite3.Connection, meta: dict[str, str]) -> None:
    """Make the tables of a new database, all or nothing; `meta` says whose they are."""
    with transaction(db):
        for statement in SCHEMA.split(";"):
            db.execute(statement)
        db.executemany("INSERT INTO meta VALUES (?, ?)", (meta | {"crc": meta_crc(meta)}).items())
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
        self._boots = _boots(db)
        self._numbers = {boot.name: number for number, boot in self._boots.items()}
        self.count: int
        self.bytes: int
        """Of their payloads."""
        self.held: int
        """How many of them are held for their date."""
        self._count_rows()
        self.removed = 0
        """How many are marked and not deleted; they are not counted above."""
        self.refused_count = int(db.execute("SELECT count(*) FROM refused").fetchone()[0])
        meta = self._meta()
        self.device = meta.get("device", "")
        self.generation = int(meta.get("generation", "0"))
        self.dropped = self._dropped_kept = dropped.read(meta.get(DROPPED, "[]"))
        """What had to go because there was too much; kept with the next change."""
        self.has_traces = meta.get(_TRACES) == "1"
        """Whether the file still has bytes of rows that were erased."""

    def close(self) -> None:
        """Close the connection."""
        self.db.close()

    def meta(self, key: str) -> str | None:
        """Return a kept value."""
        return self._meta().get(key)

    def set_meta(self, key: str, value: str) -> None:
        """Keep a value."""
        meta = self._meta() | {key: value}
        self.db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(key, value), ("crc", meta_crc(meta))])

    def begin(self, generation: int) -> None:
        """Let this be the generation of what is put from now on."""
        self.set_meta("generation", str(generation))
        self.generation = generation

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
        with transaction(self.db):
            self._delete_removed()
            if self.dropped != self._dropped_kept:
                self.set_meta(DROPPED, dropped.write(self.dropped))
            for row in rows:
                stamp = row.stamp
                if row.boot not in numbers:
                    number = max(boots, default=0) + 1
                    boots[number], numbers[row.boot] = _Boot(row.boot, stamp.kernel_boot), number
                    self.db.execute("INSERT INTO boots VALUES (?, ?, ?)", (number, *boots[number]))
                id_ = numbers[row.boot] << SEQ_BITS | row.seq
                self.db.execute(_INSERT, self._values(id_, row))
                count, length, held = count + 1, length + len(row.payload), held + (stamp.held_ms is not None)
            for one in refused:
                self.db.execute("INSERT INTO refused VALUES (?, ?, ?, ?)", one)
                refusals += 1
            if refusals:
                newest = "SELECT max(rowid) FROM refused"
                self.db.execute(f"DELETE FROM refused WHERE rowid <= ({newest}) - ?", (REFUSED_KEPT,))  # noqa: S608 - our own text
        self.removed = 0
        self._boots, self._numbers = boots, numbers
        self._dropped_kept = self.dropped
        self.count, self.bytes, self.held = self.count + count, self.bytes + length, self.held + held
        self.refused_count = min(self.refused_count + refusals, REFUSED_KEPT)

    def restore(self, boots: Iterable[tuple[str, str]], rows: Iterable[Row]) -> int:
        """Add rows of a damaged file, and return how many wait now; those that are here already stay.

        Args:
            boots: Name and kernel boot of each boot of the rows, oldest first.
            rows: In any order; one that is held gives way to the same one with its final date.
        """
        with transaction(self.db):
            for boot in boots:
                if boot[0] not in self._numbers:
                    number = max(self._boots, default=0) + 1
                    self.db.execute("INSERT INTO boots VALUES (?, ?, ?)", (number, *boot))
                    self._boots[number], self._numbers[boot[0]] = _Boot(*boot), number
        iterator = iter(rows)
        while some := list(islice(iterator, _RESTORED_AT_ONCE)):
            with transaction(self.db):
                for row in some:
                    key = self._numbers[row.boot] << SEQ_BITS | row.seq
                    self.db.execute(
                        f"{_INSERT} ON CONFLICT DO UPDATE SET (at_ms, synced, held_ms, payload, crc) = "
                        "(excluded.at_ms, excluded.synced, NULL, excluded.payload, excluded.crc) "
                        "WHERE held_ms IS NOT NULL AND excluded.held_ms IS NULL",
                        self._values(key, row),
                    )
        self._count_rows()
        return self.count

    def missing(self) -> int:
        """Return how many numbers are missing between the first and the last that waits of each boot."""
        found = self.db.execute(
            f"SELECT max(id) - min(id) + 1 - count(*) FROM rows GROUP BY id >> {SEQ_BITS}"  # noqa: S608 - our own number
        )
        return sum(count for (count,) in found)

    def sweep(self) -> None:
        """Delete the rows that are removed."""
        if self.removed or self.dropped != self._dropped_kept:
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
        return next((row.stamp.at_ms for row in self._select("TRUE", limit=1)), None)

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
        self._drop(last)
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
        if last is not None:
            self._select("id = ?", last)  # a damaged date must not take all before it along
        before = self.count
        self._drop(last)
        return before - self.count

    def release_held(self, release: Callable[[Stamp, int], Stamp | None]) -> None:
        """Restamp each row that is held, all or nothing; one for which `release` returns None stays held.

        `release` takes a row's stamp, and `held_ms` of the last row that is held of the same run of the machine.
        """
        if not self.held:
            return
        longer = released = 0
        with transaction(self.db):
            rows = list(self._select("held_ms IS NOT NULL"))
            newest = {row.stamp.kernel_boot: row.stamp.held_ms or 0 for row in rows}  # the later ones are newer
            for row in rows:
                if stamp := release(row.stamp, newest[row.stamp.kernel_boot]):
                    final, key = row.restamped(stamp), self._numbers[row.boot] << SEQ_BITS | row.seq
                    self.db.execute(f"REPLACE{_INSERT.removeprefix('INSERT')}", self._values(key, final))
                    longer += len(final.payload) - len(row.payload)
                    released += 1
        self.bytes, self.held = self.bytes + longer, self.held - released

    def erase(self, generation: int) -> None:
        """Delete everything, for good, and keep the number of the generation that follows."""
        self.db.execute("PRAGMA secure_delete = ON")
        with transaction(self.db):
            for table in ("rows", "removed", "refused", "boots"):
                self.db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            self.set_meta("generation", str(generation))
            self.set_meta(_TRACES, "1")
            self.set_meta(DROPPED, dropped.write(()))
        self._boots, self._numbers, self.dropped, self._dropped_kept = {}, {}, (), ()
        self.count = self.bytes = self.held = self.removed = self.refused_count = 0
        self.generation, self.has_traces = generation, True
        self.db.execute("PRAGMA secure_delete = FAST")
        self.scrub()

    def scrub(self) -> None:
        """Remove what is left of erased rows: in pages that nothing uses, and in the log.

        Where that does not work, `has_traces` stays true, over restarts too.
        """
        self.db.execute("VACUUM")
        is_busy, _, _ = self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not is_busy:  # else somebody reads the file
            self.set_meta(_TRACES, "0")
            self.has_traces = False

    def _select(self, condition: str, *values: int, limit: int = -1) -> list[Row]:
        found = self.db.execute(
            f"SELECT {_COLUMNS} FROM rows "  # noqa: S608 - our own texts
            f"WHERE {condition} AND id NOT IN removed ORDER BY id LIMIT ?",
            (*values, limit),
        )
        return [_whole(self.device, self._boots, Raw(*row)) for row in found]

    def _values(self, key: int, row: Row) -> tuple[int | str | bytes | None, ...]:
        stamp = row.stamp
        return key, row.kind, stamp.at_ms, stamp.synced, stamp.held_ms, row.payload, row.crc(self.device)

    def _count_rows(self) -> None:
        facts = "SELECT count(*), coalesce(sum(length(payload)), 0), count(held_ms) FROM rows"
        self.count, self.bytes, self.held = self.db.execute(facts).fetchone()

    def _meta(self) -> dict[str, str]:
        """Return all kept values.

        Raises:
            DamageError: they are not as they were written.
        """
        meta = dict(self.db.execute("SELECT key, value FROM meta"))
        if meta and "crc" in meta and meta["crc"] != meta_crc(meta):
            raise DamageError("whose it is cannot be read")
        return meta

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

    def _drop(self, last: int | None) -> None:
        """Remove the rows up to a key, and note which they were."""
        names = {number: boot.name for number, boot in self._boots.items()}
        self.dropped = dropped.add(self.dropped, dropped.up_to(self.db, last, names))
        self._remove("id <= ?", last)

    def _delete_removed(self) -> None:
        if self.removed:
            self.db.execute("DELETE FROM rows WHERE id IN removed")
            self.db.execute("DELETE FROM removed")

    def _any_of(self, number: int) -> bool:
        base = number << SEQ_BITS
        return bool(
            self.db.execute("SELECT 1 FROM rows WHERE id BETWEEN ? AND ? LIMIT 1", (base, base | MAX_SEQ)).fetchone()
        )

    def _ids(self, boot: str, first: int, last: int) -> tuple[int, int]:
        """Return the keys of a range; an empty range for a boot that is not known."""
        if boot not in self._numbers:
            return 0, -1
        base = self._numbers[boot] << SEQ_BITS
        return base | first, base | min(last, MAX_SEQ)


def _boots(db: sqlite3.Connection) -> dict[int, _Boot]:
    return {number: _Boot(*boot) for number, *boot in db.execute("SELECT number, name, kernel FROM boots")}


def _whole(device: str, boots: Mapping[int, _Boot], raw: Raw) -> Row:
    """Return a row.

    Raises:
        DamageError: it is not as it was written.
    """
    boot = boots.get(raw.key >> SEQ_BITS, _Boot("", ""))
    row = whole_row(device, *boot, raw)
    if row is None:
        raise DamageError(f"row {raw.key} is not as it was written")
    return row


def _text(content: bytes) -> str:
    """Return a text; SQLite does not check that it is UTF-8, and damage must not look like a fault of the disk."""
    return content.decode(errors="replace")


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Change all or nothing."""
    with db:  # commits, or rolls back what an error left
        db.execute("BEGIN IMMEDIATE")
        yield
