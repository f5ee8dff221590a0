"""The outbox's file: whose it is, who has it open, and what becomes of one that cannot be used."""

import contextlib
import fcntl
import logging
import os
import sqlite3
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import NamedTuple

from common import files
from device.delivery import dropped
from device.delivery.outbox_salvage import DamagedFile, frames
from device.delivery.outbox_table import (
    DROPPED,
    SCHEMA,
    SCHEMA_VERSION,
    DamageError,
    OutboxTable,
    Refused,
    connect,
    make_tables,
)
from device.delivery.outbox_upgrade import BEFORE_CHECK_VALUES, add_check_values
from device.system.identity import Machine, Owner, same_machine

log = logging.getLogger(__name__)

OUTBOX = "outbox.sqlite"
"""Its name in the state folder."""
FAULTS = (sqlite3.Error, UnicodeDecodeError, OSError)
"""What using an outbox may raise; UnicodeDecodeError: SQLite puts what it read from a damaged file into its message."""
_DISK_FAULTS = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
"""What SQLite says when the disk, or somebody else on it, is at fault; all else is the content of the file."""
_UNREADABLE = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
_WRITE_VERSION, _READ_VERSION = 18, 19
"""Bytes of the file's header; SQLite takes a file with another version there for one that may not be written."""
_REASONS = ("damaged", "foreign", "salvage")
"""Why a file is set aside; `salvage` is damaged, and its rows have yet to be taken over."""
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
    _check_header(path)
    db = connect(str(path))
    try:
        if _version(db) == 0:
            make_tables(db, {"device": owner.device, "machine": _text(owner.machine), "generation": "0"})
        if _version(db) == BEFORE_CHECK_VALUES:
            add_check_values(db)
        _check_version(db, path)
        _check_structure(db)
        table = OutboxTable(db)
        foreign = _why_foreign(table, owner)
        if not foreign:
            _restore_from_log(table, path)
            table.forget_boots()
            return table
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the file that is set aside has all of it
    except (*FAULTS, OutboxError):
        db.close()
        raise
    table.close()
    kept = set_aside(path, "foreign")
    log.warning("outbox %s %s; its %d records are kept in %s and not sent", path, foreign, table.count, kept.name)
    return open_table(path, owner)


def is_damaged(error: Exception) -> bool:
    """Return whether what one of `FAULTS` says is that the file is damaged; else the disk cannot be used at present."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return isinstance(error, DamageError | UnicodeDecodeError)
    return code in _UNREADABLE or code & 0xFF not in _DISK_FAULTS


def salvage(path: Path, table: OutboxTable, least_generation: int, known: int | None) -> int:
    """Move what is whole of the damaged files beside an outbox into its table; return how many records are lost.

    Args:
        path: The outbox.
        table: Its table, into which nothing newer may have been put.
        least_generation: Records of earlier generations are erased.
        known: How many rows waited, if that is known; else each number that is missing between those that are found
            counts as lost, though it may have been confirmed.

    Raises:
        sqlite3.Error: the new file cannot be written; the next call tries again.
        OSError: a damaged file cannot be read or renamed.
    """
    lost = 0
    for damaged in sorted(_aside(path, "salvage"), key=_number):
        with DamagedFile(damaged, table.device) as file:
            survey = file.survey()
            if survey.generation < least_generation:  # it has missed an erasure
                damaged.unlink()
                _wal_of(damaged).unlink(missing_ok=True)
                continue
            if survey.generation > table.generation:
                table.begin(survey.generation)
            table.dropped = dropped.add(dropped.read(survey.meta.get(DROPPED, "[]")), table.dropped)
            before = table.count
            found = table.restore(survey.boots, file.rows(survey.generation)) - before
            missing = max(file.bad_rows, table.missing()) if known is None else known - found
        kept = _rename(damaged, path, "damaged")
        lost += max(0, missing)
        log.error("%d records are salvaged, about %d are lost; the file is kept as %s", found, missing, kept.name)
    return lost


def set_aside(path: Path, why: str) -> Path:
    """Rename an outbox that nothing has open, with its write-ahead log, and return its new name.

    Raises:
        OSError: the folder cannot be written.
    """
    target = _rename(path, path, why)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    return target


def delete_aside(path: Path) -> None:
    """Delete all outboxes that were set aside beside this one, with the logs of theirs.

    Raises:
        OSError: the folder cannot be written.
    """
    for why in _REASONS:
        for file in path.parent.glob(f"{path.stem}-{why}-*"):
            file.unlink()
    files.sync_folder(path.parent)


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
            if _version(db) != BEFORE_CHECK_VALUES:
                _check_version(db, path)
            table = OutboxTable(db)
            return Facts(
                device=table.meta("device") or "",
                generation=table.generation,
                rows=table.count,
                held=table.held,
                payload_bytes=table.bytes,
                oldest_at_ms=next(iter(db.execute("SELECT at_ms FROM rows ORDER BY id LIMIT 1")), (None,))[0],
                refused=table.refused(),
            )
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise OutboxError(f"outbox {path} cannot be read: {error}") from error


def owner_of(folder: Path) -> Owner | None:
    """Return whose outbox is in a state folder, and change nothing; None if there is none, or none that can be read."""
    path = folder / OUTBOX
    if not path.exists():
        return None
    try:
        with _looking(path) as db:
            meta = dict(db.execute("SELECT key, value FROM meta"))
    except (sqlite3.Error, UnicodeDecodeError):  # who opens it to fill it says what is wrong
        return None
    return Owner(meta.get("device", ""), frozenset(meta.get("machine", "").split()))


def kept_aside(path: Path) -> list[Path]:
    """Return the outboxes beside this one that were set aside as damaged or foreign."""
    return sorted(file for why in _REASONS for file in _aside(path, why))


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


def _check_header(path: Path) -> None:
    """Raise DamageError for a header that SQLite would take for a fault of the disk."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        header = file.read(_READ_VERSION + 1)
        if header and header[_WRITE_VERSION:] not in {b"\1\1", b"\2\2"}:
            raise DamageError("file is not a database")


def _check_structure(db: sqlite3.Connection) -> None:
    """Raise DamageError for a file in which rows may be out of reach."""
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise DamageError(" ".join(found.split()))


def _restore_from_log(table: OutboxTable, path: Path) -> None:
    """Take rows over from the pages of the write-ahead log behind a damaged one, at which SQLite stops reading it."""
    _, seen, _ = table.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    with contextlib.suppress(FileNotFoundError), _wal_of(path).open("rb") as wal:
        if len(list(frames(wal))) <= seen:
            return
    with DamagedFile(path, table.device, log_from=seen) as file:
        before = table.count
        survey, rows = file.survey(), list(file.rows(table.generation))  # all of it, before the log is written again
        found = table.restore(survey.boots, rows) - before
    if found:
        log.warning("outbox %s has a damaged log; %d records from behind the damage are salvaged", path, found)


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    version = _version(db)
    if version != SCHEMA_VERSION:
        rows = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'rows'").fetchone()
        if rows and rows[0] in SCHEMA:
            raise DamageError(f"its tables are those of schema {SCHEMA_VERSION}, and it says {version}")
        raise OutboxError(
            f"outbox {path} has schema {version}, this moodwire knows {SCHEMA_VERSION}; move it away to begin anew"
        )


def _text(machine: Machine) -> str:
    return " ".join(sorted(machine))


def _number(file: Path) -> int:
    """Return the number of a file that was set aside; 0 for one that somebody renamed."""
    word = file.stem.rpartition("-")[2]
    return int(word) if word.isdigit() else 0


def _rename(file: Path, path: Path, why: str) -> Path:
    """Give a file the next name beside an outbox, and its write-ahead log with it; whichever is first may be last."""
    number = max(map(_number, _aside(path, why)), default=0) + 1
    target = path.with_name(f"{path.stem}-{why}-{number}{path.suffix}")
    if _wal_of(file).exists():
        _wal_of(target).unlink(missing_ok=True)
        _wal_of(target).hardlink_to(_wal_of(file))  # a file without its log lacks its newest rows
    file.rename(target)
    _wal_of(file).unlink(missing_ok=True)
    if why == "damaged":
        _forget_old(path)
    return target


def _forget_old(path: Path) -> None:
    """Delete all damaged files but the newest."""
    damaged = _aside(path, "damaged")
    newest = max(map(_number, damaged), default=0)
    for old in damaged:
        if 0 < _number(old) <= newest - _DAMAGED_KEPT:
            old.unlink()
            _wal_of(old).unlink(missing_ok=True)


def _aside(path: Path, why: str) -> list[Path]:
    return list(path.parent.glob(f"{path.stem}-{why}-*{path.suffix}"))


def _wal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
