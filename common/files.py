"""Files written whole, and files that only their owner reads."""

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Replace the content of a file, all or nothing, also over a loss of power; make its folder if need be.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def create_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read and write (mode 0600).

    Raises:
        FileExistsError: the file is there already; it stays as it is.
        OSError: it cannot be written.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
