"""Files that a person wrote, files written whole, and files that only their owner reads."""

import errno
import os
import shutil
from pathlib import Path


def read_text(path: Path) -> str:
    """Return what a person wrote into a file: UTF-8, with or without the byte order mark of some editors.

    Raises:
        ValueError: it is not UTF-8.
        OSError: it cannot be read.
    """
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error


def replace(path: Path, content: bytes) -> None:
    """Replace the content of a file, all or nothing, also over a loss of power; make its folder if need be.

    When it returns, the new content is on disk, with the mode of the old. A write that fails leaves the old content.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    try:
        write(fresh, content)
        if path.exists():
            shutil.copymode(path, fresh)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write(path: Path, content: bytes) -> None:
    """Write a file and wait until its content is on disk; a reader may see a part of it meanwhile.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on disk, if the file system can: a power cut can undo a rename (fsync(2)).

    Raises:
        OSError: the folder cannot be opened, or the disk fails.
    """
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # these are how network file systems refuse a folder
            raise
    finally:
        os.close(folder)


def create_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read and write (mode 0600).

    Raises:
        FileExistsError: the file exists; it stays as it is.
        OSError: it cannot be written.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
