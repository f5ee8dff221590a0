"""`moodwire server backup` and `moodwire server restore`: all data in one compressed file of JSON lines, and back."""

import contextlib
import gzip
import os
import sys
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
from server.ops.backup_format import AnyLine, End, Head
from server.settings import ServerSettings
from server.store.redis_store import RedisStore, open_store

_COMPRESSION = 6
_STANDARD = "-"


@ts.settings(frozen=True)
class BackupSettings(ServerSettings):
    """Settings of `moodwire server backup` and `moodwire server restore`."""

    file: str = ts.option(
        default="moodwire-backup.ndjson.gz", help="the file of the backup; - for standard output or input"
    )


def write(settings: BackupSettings) -> int:
    """Write all data into a file while the system runs; return 0, or 2 with a sentence on stderr."""
    partial = Path(f"{settings.file}.partial")
    try:
        store = open_store(settings)
        store.prepare()
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


def read(settings: BackupSettings) -> int:
    """Merge a file into the store while the system runs.

    Returns:
        0; 1 with a sentence when the file is cut off or broken, after restoring what it has; 2 with a sentence when the
        store or the file cannot be used.
    """
    counts: Counter[str] = Counter()
    problem = ""
    try:
        store = open_store(settings)
        store.prepare()
        standard = settings.file == _STANDARD
        with contextlib.nullcontext(sys.stdin.buffer) if standard else Path(settings.file).open("rb") as raw:
            try:
                for line in _lines(raw):
                    counts += restore(store, line)
            except _BrokenError as error:
                problem = str(error)
        store.sync()  # only what is on disk is restored
    except (UnusableError, StoreAwayError) as error:
        return _failed("restore", f"{error}; repeat the command: what is there already is not doubled")
    except OSError as error:
        return _failed("restore", f"{error.filename or settings.file} cannot be read: {error.strerror}")
    for what in ("readings", "heard", "events"):
        ends = [f"{counts[f'{what} {end}']} {end}" for end in ("restored", "there", "expired", "erased")]
        print(f"{what}: {', '.join(ends if what != 'events' else ends[:1])}")
    if problem:
        print(f"moodwire server restore: {settings.file} {problem}", file=sys.stderr)
    return 1 if problem else 0


class _BrokenError(Exception):
    """The file is no backup; the text continues a sentence that begins with its name."""


def _lines(raw: IO[bytes]) -> Iterator[AnyLine]:
    """Yield the lines of a backup.

    Raises:
        _BrokenError: it is no backup, or cut off, or broken.
    """
    decoder = msgspec.json.Decoder(AnyLine)
    number = 0
    line: AnyLine | None = None
    try:
        for number, text in enumerate(gzip.GzipFile(fileobj=raw), 1):
            line = decoder.decode(text)
            if (number == 1) != isinstance(line, Head):
                raise _BrokenError(f"is no backup of moodwire: line {number} is out of place")
            yield line
    except (EOFError, zlib.error) as error:
        raise _BrokenError(f"is cut off or broken after line {number}") from error
    except (gzip.BadGzipFile, *JSON_ERRORS) as error:
        raise _BrokenError(
            f"is no backup of moodwire, or one of another version: line {number + 1}: {error}"
        ) from error
    if not isinstance(line, End):
        raise _BrokenError(f"is cut off after line {number}")


def _failed(command: str, sentence: str, partial: Path | None = None) -> int:
    if partial:
        with contextlib.suppress(OSError):
            partial.unlink()
    print(f"moodwire server {command}: {sentence}", file=sys.stderr)
    return 2
