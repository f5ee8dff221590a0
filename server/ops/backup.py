"""`moodwire server backup` and `moodwire server restore`: all data in one compressed file of JSON lines, and back."""

import contextlib
import gzip
import os
import shutil
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec
import typed_settings as ts

from common.decoding import JSON_ERRORS
from server.errors import StoreAwayError, UnusableError
from server.ops.backup_archive import export, restore
from server.ops.backup_check import Checker, LineError
from server.ops.backup_format import LONGEST_LINE, AnyLine, End
from server.settings import ServerSettings
from server.store.redis_store import RedisStore, open_store

_COMPRESSION = 6
_STANDARD = "-"
_MOST_APART_S = 60.0


@ts.settings(frozen=True)
class BackupSettings(ServerSettings):
    """Settings of `moodwire server backup`."""

    file: str = ts.option(
        default="moodwire-backup.ndjson.gz", help="the file of the backup; - for standard output or input"
    )


@ts.settings(frozen=True)
class RestoreSettings(BackupSettings):
    """Settings of `moodwire server restore`."""

    salvage: bool = ts.option(default=False, help="restore what stands before the damage of a damaged file")


def write(settings: BackupSettings) -> int:
    """Write all data into a file while the system runs; return 0, or 2 with a sentence on stderr."""
    partial = Path(f"{settings.file}.partial")
    try:
        store = _ready(settings)
        if settings.file == _STANDARD:
            end = _write(store, sys.stdout.buffer)
        else:
            # Emotions are personal: only the owner of the file reads it.
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
                end = _write(store, raw)
                raw.flush()
                os.fsync(raw.fileno())
            partial.replace(settings.file)
    except (UnusableError, StoreAwayError) as error:
        return _failed("backup", str(error), partial)
    except OSError as error:
        return _failed("backup", f"{error.filename or settings.file} cannot be written: {error.strerror}", partial)
    print(f"{settings.file}: {end.readings} readings of {end.devices} devices", file=sys.stderr)
    return 0


def _write(store: RedisStore, raw: IO[bytes]) -> End:
    """Write a backup and return its last line."""
    encoder = msgspec.json.Encoder()
    line: AnyLine | None = None
    with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=_COMPRESSION) as file:
        for line in export(store):
            file.write(encoder.encode(line) + b"\n")
    assert isinstance(line, End)
    return line


def read(settings: RestoreSettings) -> int:
    """Merge a file into the store while the system runs, all of it or nothing.

    Returns:
        0; 1 with a sentence when the file is damaged and what stands before the damage is restored, as asked; 2 with a
        sentence when the file is damaged or the store or the file cannot be used.
    """
    counts: Counter[str] = Counter()
    try:
        store = _ready(settings)
        with _opened(settings.file) as raw:
            good, problem = check(store, raw)
            if problem and not settings.salvage:
                todo = (
                    f"nothing is restored; --salvage restores its first {good} lines" if good else "nothing is restored"
                )
                return _failed("restore", f"{settings.file} {problem}: {todo}")
            raw.seek(0)
            for _, line in zip(range(good), _lines(raw), strict=False):  # in this order, or one line too many is read
                counts += restore(store, line)
        store.sync()  # only what is on disk is restored
    except (UnusableError, StoreAwayError, _BrokenError) as error:
        return _failed("restore", f"{error}; repeat the command: what is there already is not doubled")
    except OSError as error:
        return _failed("restore", f"{error.filename or settings.file} cannot be read: {error.strerror}")
    for what in ("readings", "heard", "events"):
        ends = [f"{counts[f'{what} {end}']} {end}" for end in ("restored", "there", "expired", "erased")]
        print(f"{what}: {', '.join(ends if what != 'events' else ends[:1])}")
    if problem:
        print(f"moodwire server restore: {settings.file} {problem}; the lines before are restored", file=sys.stderr)
    return 1 if problem else 0


@contextlib.contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    """Open a file that can be read twice; standard input goes into a file that nobody else can see."""
    if file != _STANDARD:
        with Path(file).open("rb") as raw:
            yield raw
    else:
        with tempfile.TemporaryFile() as raw:
            shutil.copyfileobj(sys.stdin.buffer, raw)
            raw.seek(0)
            yield raw


def _ready(settings: BackupSettings) -> RedisStore:
    """Return the store, ready to be used.

    Raises:
        StoreAwayError: it does not answer.
        UnusableError: it cannot be used, or its clock is wrong, by which good readings would be left out as too old.
    """
    store = open_store(settings)
    store.prepare()
    apart_s = store.now() / 1000 - time.time()
    if abs(apart_s) > _MOST_APART_S:
        raise UnusableError(
            f"the clock of the store is {apart_s:.0f} s off that of this machine, and it tells which readings are too "
            "old: set both by NTP (timedatectl)"
        )
    return store


def check(store: RedisStore, raw: IO[bytes]) -> tuple[int, str]:
    """Return how many lines of a backup are good, and what is wrong with the next one; empty if all are good.

    Raises:
        StoreAwayError: the store does not answer.
    """
    checker, good = Checker(store.now(), store.generation), 0
    try:
        for line in _lines(raw):
            checker.check(line)
            good += 1
    except _BrokenError as error:
        return good, str(error)
    except LineError as error:
        return good, f"is damaged, or no backup of moodwire: line {good + 1}: {error}"
    return good, "" if checker.is_complete else f"is cut off after line {good}"


class _BrokenError(Exception):
    """The file is no backup; the text continues a sentence that begins with its name."""


def _lines(raw: IO[bytes]) -> Iterator[AnyLine]:
    """Yield the lines of a backup.

    Raises:
        _BrokenError: it is no backup, or cut off, or broken.
    """
    decoder = msgspec.json.Decoder(AnyLine)
    number = 0
    try:
        file = gzip.GzipFile(fileobj=raw)
        while text := file.readline(LONGEST_LINE + 1):
            if len(text) > LONGEST_LINE:
                raise _BrokenError(f"is no backup of moodwire: line {number + 1} is longer than {LONGEST_LINE} bytes")
            yield decoder.decode(text)
            number += 1
    except (EOFError, zlib.error) as error:
        raise _BrokenError(f"is cut off or broken after line {number}") from error
    except (gzip.BadGzipFile, *JSON_ERRORS) as error:
        raise _BrokenError(
            f"is damaged, or no backup of moodwire, or one of another version: line {number + 1}: {error}"
        ) from error


def _failed(command: str, sentence: str, partial: Path | None = None) -> int:
    if partial:
        with contextlib.suppress(OSError):
            partial.unlink()
    print(f"moodwire server {command}: {sentence}", file=sys.stderr)
    return 2
