"""The doctor plays a stranger: whoever can open a connection to the store and needs no password owns all of it."""

import contextlib
import stat
from pathlib import Path
from typing import Any

import redis

from common.report import Finding
from server.store.nodes import Error

_ANSWER_S = 2.0
_TODO = (
    "put the store behind a Unix socket that only its group may open and set port 0 (docs/install.md), or set "
    "requirepass and put the password into redis_url"
)


def check(client: redis.Redis, place: str, port: str | None) -> Finding:
    """Try to reach a server of the store without its password.

    Args:
        client: Reaches it as the settings say.
        place: Its address, for people.
        port: That it listens on; 0 for none, and None if it does not tell.
    """
    pool = client.connection_pool
    options = {name: value for name, value in pool.connection_kwargs.items() if name not in {"username", "password"}}
    path = str(options.get("path", ""))
    if not path:
        if _answers(pool.connection_class, options):
            seen = f"whoever can connect to {place} reads and changes everything: it asks for no password"
            return Finding("store_strangers", "warn", seen, _TODO)
        return Finding("store_strangers", "ok", f"{place} asks strangers for a password")
    if _is_open_to_all(Path(path)) and _answers(pool.connection_class, options):
        seen = f"every user of this machine may open {path}, which asks for no password"
        return Finding("store_strangers", "warn", seen, "set unixsocketperm 770, and add your users to its group")
    if port not in (None, "0") and _answers(redis.Connection, {"host": "127.0.0.1", "port": int(port or 0)}):
        seen = f"beside its socket the store listens on port {port}, which asks for no password"
        return Finding("store_strangers", "warn", seen, _TODO)
    return Finding("store_strangers", "ok", f"only who may open {path} reaches the store, or it asks for a password")


def _answers(connection: type[redis.Connection], options: dict[str, Any]) -> bool:
    """Return whether a server carries out a command of a stranger."""
    limits = {"socket_timeout": _ANSWER_S, "socket_connect_timeout": _ANSWER_S}
    if "path" in options:
        del limits["socket_connect_timeout"]
    pool = redis.ConnectionPool(connection_class=connection, **options | limits)
    try:
        return bool(redis.Redis(connection_pool=pool).dbsize() >= 0)
    except Error:
        return False
    finally:
        pool.disconnect()


def _is_open_to_all(socket: Path) -> bool:
    """Return whether every user of this machine may write to a socket and reach it; False if it is not here."""
    with contextlib.suppress(OSError):
        folders_let_in = all(folder.stat().st_mode & stat.S_IXOTH for folder in socket.absolute().parents)
        return bool(folders_let_in and socket.stat().st_mode & stat.S_IWOTH)
    return False
