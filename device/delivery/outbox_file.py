"""The outbox's file: whose it is, who has it open, and what becomes of one that cannot be used."""

import fcntl
import logging
import os
import sqlite3
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import NamedTuple

from device.delivery.outbox_table import SCHEMA_VERSION, OutboxTable, Refused, connect, make_tables
from device.system.identity import Machine, Owner, same_machine

log = logging.getLogger(__name__)

OUTBOX = "outbox.sqlite"
"""Its name in the state folder."""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_DAMAGED_KEPT = 3
"""Damaged files kept for people to look at; a dying card may make many."""


class OutboxError(Exception):
    """The outbox cannot be used; the text names the file, what is wrong and what to do."""


class Facts(NamedTuple):
    """What can be seen of an outbox from outside."""

    device: str
    generation: int
    rows: int
    held: int
    """How many of the rows are held for the clock."""
    payload_bytes: int
    oldest_at_ms: int | None
    refused: list[Refused]


def open_table(path: Path, owner: Owner) -> OutboxTable:
    """Open an outbox, or make it; one that was filled on another machine or as another device is set aside.

    Raises:
        OutboxError: it has a schema that this version does not know.
        sqlite3.DatabaseError: it is damaged (see `is_damaged`), or cannot be opened at present.
        OSError: it cannot be opened at present.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    db = connect(str(path))
    try:
        if _version(db) == 0:
            make_tables(db, {"device": owner.device, "machine": _text(owner.machine), "generation": "0"})
        _check_version(db, path)
        table = OutboxTable(db)
        foreign = _why_foreign(table, owner)
        if not foreign:
            table.forget_boots()
            return table
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the file that is set aside has all of it
    except (sqlite3.Error, OutboxError):
        db.close()
        raise
    table.close()
    kept = set_aside(path, "foreign")
    log.warning("outbox %s %s; its %d records are kept in %s and not sent", path, foreign, table.count, kept.name)
    return open_table(path, owner)


def is_damaged(error: sqlite3.Error) -> bool:
    """Return whether the content of the file is damaged; else the disk cannot be used at present."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def set_aside(path: Path, why: str) -> Path:
    """Rename an outbox that nothing has open, with its write-ahead log, and return its new name.

    Raises:
        OSError: the folder cannot be written.
    """
    earlier = {int(word): file for file in _aside(path, why) if (word := file.stem.rpartition("-")[2]).isdigit()}
    newest = max(earlier, default=0) + 1
    target = path.with_name(f"{path.stem}-{why}-{newest}{path.suffix}")
    path.rename(target)
    if _wal_of(path).exists():
        _wal_of(path).rename(_wal_of(target))
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    if why == "damaged":
        for number, old in earlier.items():
            if number <= newest - _DAMAGED_KEPT:
                old.unlink()
                _wal_of(old).unlink(missing_ok=True)
    return target


def lock(folder: Path) -> int:
    """Lock the folder for this process, until it closes the returned descriptor or ends; writes nothing.

    Raises:
        OutboxError: another process has it.
        OSError: there is no such folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise OutboxError(
            f"outbox in {folder} is in use: another moodwire device runs with this state_dir; stop it first"
        ) from error
    return descriptor


def peek(path: Path) -> Facts:
    """Look at an outbox that another process may have open, and change nothing.

    Records that were confirmed in the last minute may still be counted.

    Raises:
        OutboxError: it is not there, is damaged, may not be read, or has another schema.
    """
    if not path.exists():
        raise OutboxError(f"there is no outbox {path}; run the device once to make it")
    try:
        with _looking(path) as db:
            _check_version(db, path)
            table = OutboxTable(db)
            return Facts(
                device=table.meta("device") or "",
                generation=table.generation,
                rows=table.count,
                held=table.held,
                payload_bytes=table.bytes,
                oldest_at_ms=table.oldest_at_ms(),
                refused=table.refused(),
            )
    except sqlite3.Error as error:
        raise OutboxError(f"outbox {path} cannot be read: {error}") from error


def owner_of(folder: Path) -> Owner | None:
    """Return whose outbox is in a state folder, and change nothing; None if there is none, or none that can be read."""
    path = folder / OUTBOX
    if not path.exists():
        return None
    try:
        with _looking(path) as db:
            meta = dict(db.execute("SELECT key, value FROM meta"))
    except sqlite3.Error:  # who opens it to fill it says what is wrong
        return None
    return Owner(meta.get("device", ""), frozenset(meta.get("machine", "").split()))


def kept_aside(path: Path) -> list[Path]:
    """Return the outboxes beside this one that were set aside as damaged or foreign."""
    return sorted([*_aside(path, "damaged"), *_aside(path, "foreign")])


def _looking(path: Path) -> AbstractContextManager[sqlite3.Connection]:
    """Return a connection that changes nothing."""
    # Without a write-ahead log nobody has it open; then SQLite need not make files beside it, which may be forbidden.
    mode = "mode=ro" if _wal_of(path).exists() else "immutable=1"
    return closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=1.0))


def _why_foreign(table: OutboxTable, owner: Owner) -> str | None:
    """Return why the file is not ours; None when it is, after keeping what is new of the machine."""
    device = table.meta("device") or ""
    known: Machine = frozenset((table.meta("machine") or "").split())
    if not same_machine(known, owner.machine):
        return f"of device {device} was filled on another machine (a cloned or swapped card?)"
    if device != owner.device:
        return f"belongs to device {device}, and this is now device {owner.device}"
    if not owner.machine <= known:
        table.set_meta("machine", _text(known | owner.machine))
    return None


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    version = _version(db)
    if version != SCHEMA_VERSION:
        raise OutboxError(
            f"outbox {path} has schema {version}, this moodwire knows {SCHEMA_VERSION}; move it away to begin anew"
        )


def _text(machine: Machine) -> str:
    return " ".join(sorted(machine))


def _aside(path: Path, why: str) -> list[Path]:
    return list(path.parent.glob(f"{path.stem}-{why}-*{path.suffix}"))


def _wal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
