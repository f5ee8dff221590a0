"""Servers of ours that listen: pages and REST over waitress, and how many connections each may hold."""

import contextlib
import resource
from collections.abc import Callable
from typing import Any

import waitress.server  # type: ignore[import-untyped]

from common import addresses

MAX_CONNECTIONS = 1000
"""Connections that a server holds; browsers and monitors keep many open and idle.

waitress holds 100 by default, and accepts nothing more until one of them ends.
"""
_IDLE_S = 60
"""How long an idle connection is kept."""


def create_server(app: Callable[..., Any], host: str, port: int, **options: Any) -> Any:
    """Return a waitress server that listens; its `run` serves.

    Args:
        app: WSGI application.
        host: Address, or name of one or several; `localhost` is two on many machines.
        port: 0 for any that is free.
        options: More arguments of `waitress.create_server`.

    Raises:
        OSError, ValueError: it cannot listen there.
    """
    if not 0 <= port <= 65_535:
        raise ValueError(f"port {port} is none; use 1 to 65535")  # getaddrinfo(3) would take the last 16 bits
    allow_many_connections()
    return waitress.server.create_server(
        app,
        host=host,
        port=port,
        connection_limit=MAX_CONNECTIONS,
        channel_timeout=_IDLE_S,
        asyncore_use_poll=True,  # select(2) ends at file descriptor 1,023
        **options,
    )


def url(server: Any, host: str) -> str:
    """Return where a server serves, under the host's own name.

    Args:
        server: What `create_server` has returned.
        host: The same as there.
    """
    several = getattr(server, "effective_listen", None)  # where the name has several addresses
    port = several[0][1] if several else server.effective_port
    return f"http://{addresses.join(host, int(port))}"


def allow_many_connections() -> None:
    """Raise the limit of open files to the highest that the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
