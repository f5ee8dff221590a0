"""A process's clock and its disk, in the trial's hand: `shim.c`, built with the machine's C compiler, is preloaded."""

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("shim.c")
_FILES = 256
_HEAD = struct.Struct("<qq")
"""Milliseconds by which the clock is wrong; whether the disk hangs."""
_FILE = struct.Struct("<qq")
"""Inode; bytes that were synchronised."""


def build(folder: Path) -> Path | None:
    """Return the library, built into a folder; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "shim.so"
    argv = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    done = subprocess.run(argv, capture_output=True, check=False)
    return library if done.returncode == 0 else None


class Shim:
    """What one process believes of its clock, and what its disk does.

    Args:
        library: What `build` gave.
        path: Where the shared memory is made.
    """

    def __init__(self, library: Path, path: Path) -> None:
        path.write_bytes(bytes(_HEAD.size + _FILES * _FILE.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self.settings = {"LD_PRELOAD": str(library), "CHAOS_SHIM": str(path)}
        """Variables of the process."""

    def set_clock(self, offset_ms: int) -> None:
        """Let the clock be so far ahead; behind, if negative."""
        self._memory[:8] = struct.pack("<q", offset_ms)

    def hang_disk(self, *, hangs: bool) -> None:
        """Let each synchronisation wait, or go on."""
        self._memory[8:16] = struct.pack("<q", hangs)

    def synced_bytes(self, path: Path) -> int:
        """Return how much of a file has been synchronised; 0 if it never was."""
        inode = path.stat().st_ino
        found, size = _FILE.unpack_from(self._memory, _HEAD.size + inode % _FILES * _FILE.size)
        return int(size) if found == inode else 0
