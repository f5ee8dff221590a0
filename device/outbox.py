"""The outbox: a record goes in before it goes out, and leaves only when the server says what became of it."""

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["reading", "heard"]

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE rows (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- oldest first
    kind TEXT NOT NULL,
    boot TEXT NOT NULL,
    seq INTEGER NOT NULL,
    gen INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (boot, seq)
) STRICT;
CREATE TABLE refused (boot TEXT NOT NULL, seq INTEGER NOT NULL, payload BLOB NOT NULL, why TEXT NOT NULL) STRICT;
"""
REFUSED_KEPT = 1_000
"""Refused rows are set aside for people to look at; only so many."""


class OutboxError(Exception):
    """The outbox cannot be used; the text names the file, what is wrong and what would be right."""


class Row(NamedTuple):
    """One record that waits."""

    kind: Kind
    boot: str
    seq: int
    payload: bytes


class Outbox:
    """A SQLite database in write-ahead mode; safe to use from several threads.

    A committed row survives kill -9. After a power loss the last rows may be missing: they were then not yet sent.

    Raises:
        OutboxError: the file cannot be opened, is in use by another process, or belongs to another device.
    """

    def __init__(self, path: Path, device: str, *, max_rows: int, max_age_s: float) -> None:
        self._path = path
        self._max_rows = max_rows
        self._max_age_s = max_age_s
        self._lock = threading.Lock()
        self.dropped = 0
        """Rows that had to go unsent since this object was made."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=1.0, check_same_thread=False, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise OutboxError(f"outbox {path} cannot be opened: {error}") from error
        try:
            self._prepare(device)
        except sqlite3.Error as error:
            self._db.close()
            if "locked" in str(error):
                raise OutboxError(
                    f"outbox {path} is in use: another moodwire device runs with this state_dir"
                ) from error
            raise OutboxError(f"outbox {path} cannot be opened: {error}") from error
        except OutboxError:
            self._db.close()
            raise
        self.generation = int(self._meta("generation", "0"))
        """Erase generation that new records belong to."""
        (self._count,) = self._db.execute("SELECT count(*) FROM rows").fetchone()

    def put(self, kind: Kind, boot: str, seq: int, at_ms: int, payload: bytes) -> None:
        """Keep one record of the present generation; the oldest go, counted, when there are too many."""
        with self._lock:
            self._db.execute(
                "INSERT INTO rows (kind, boot, seq, gen, at_ms, payload) VALUES (?, ?, ?, ?, ?, ?)",
                (kind, boot, seq, self.generation, at_ms, payload),
            )
            self._count += 1
            surplus = self._count - self._max_rows
            if surplus > 0:
                self.dropped += self._delete("id IN (SELECT id FROM rows ORDER BY id LIMIT ?)", surplus)

    def drop_old(self) -> None:
        """Let go, counted, of what is older than the outbox keeps."""
        oldest_ms = (time.time() - self._max_age_s) * 1000
        with self._lock:
            self.dropped += self._delete("at_ms < ?", oldest_ms)

    def oldest(self, limit: int) -> list[Row]:
        """Return waiting rows, oldest first."""
        with self._lock:
            found = self._db.execute(
                "SELECT kind, boot, seq, payload FROM rows ORDER BY id LIMIT ?",
                (limit,),
            ).fetchall()
        return [Row(*row) for row in found]

    def settle(self, boot: str, ranges: Iterable[tuple[int, int]]) -> None:
        """Forget rows whose fate the server has confirmed; ranges include both ends."""
        with self._transaction():
            for first, last in ranges:
                self._delete("boot = ? AND seq BETWEEN ? AND ?", boot, first, last)

    def refuse(self, boot: str, first: int, last: int, why: str) -> None:
        """Set rows aside that the server will never take."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO refused SELECT boot, seq, payload, ? FROM rows WHERE boot = ? AND seq BETWEEN ? AND ?",
                (why, boot, first, last),
            )
            self._delete("boot = ? AND seq BETWEEN ? AND ?", boot, first, last)
            self._db.execute("DELETE FROM refused WHERE rowid <= (SELECT max(rowid) FROM refused) - ?", (REFUSED_KEPT,))
            self._db.execute("COMMIT")

    def raise_generation(self, generation: int) -> int:
        """Erase what belongs to older generations and go on with this one; return how many rows went."""
        if generation <= self.generation:
            return 0
        with self._transaction():
            self._db.execute("UPDATE meta SET value = ? WHERE key = 'generation'", (str(generation),))
            self._db.execute("DELETE FROM refused")
            erased = self._delete("gen < ?", generation)
            self.generation = generation
        return erased

    def waiting(self) -> tuple[int, float]:
        """Return how many rows wait, and the age of the oldest in seconds."""
        with self._lock:
            oldest = self._db.execute("SELECT at_ms FROM rows ORDER BY id LIMIT 1").fetchone()
            return self._count, max(0.0, time.time() - oldest[0] / 1000) if oldest else 0.0

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    def _prepare(self, device: str) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")  # few fsyncs: an SD card wears out
        self._db.execute("PRAGMA secure_delete = ON")  # what was erased shall not linger in free pages
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN EXCLUSIVE; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
        elif version != _SCHEMA_VERSION:
            raise OutboxError(f"outbox {self._path} has schema {version}; this moodwire knows {_SCHEMA_VERSION}")
        owner = self._meta("device", device)
        if owner != device:
            raise OutboxError(
                f"outbox {self._path} belongs to device {owner}, this is device {device}; "
                "was the card cloned or swapped? Give this device a state_dir of its own"
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Hold the lock and change all or nothing: a full disk must leave no transaction half done."""
        with self._lock:
            count = self._count
            try:
                with self._db:  # commits, or rolls back what an error left
                    self._db.execute("BEGIN")
                    yield
            except sqlite3.Error:
                self._count = count
                raise

    def _delete(self, condition: str, *values: object) -> int:
        """Delete rows and return how many went; `condition` is one of this file's own texts."""
        gone = self._db.execute(f"DELETE FROM rows WHERE {condition}", values).rowcount  # noqa: S608
        self._count -= gone
        return gone

    def _meta(self, key: str, default: str) -> str:
        """Return a kept value, after keeping the default if there was none."""
        self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, default))
        value: str = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]
        return value
