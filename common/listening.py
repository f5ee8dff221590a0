"""Servers of ours that listen: pages and REST over waitress, and how many connections each may hold.

A stranger needs no password to open connections, to send slowly and to be many. So a server that is full closes the
connection that has waited longest for a request, and says whether it lives in a thread that nothing else takes.
"""

import contextlib
import heapq
import logging
import resource
import time
from collections.abc import Callable
from typing import Any

import waitress.server  # type: ignore[import-untyped]
from waitress.adjustments import Adjustments  # type: ignore[import-untyped]
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.task import ThreadedTaskDispatcher  # type: ignore[import-untyped]

from common import addresses

MAX_CONNECTIONS = 1000
"""Connections that a server holds; browsers and monitors keep many open and idle.

waitress holds 100 by default, and accepts nothing more until one of them ends.
"""
HEALTH = ("/livez", "/readyz")
"""Paths that are answered in a thread of their own each, so that no other request keeps them waiting."""
_CLOSED_AT_ONCE = 50
"""Connections that a full server closes, so that it does not look for them at each new one."""
_SPARE = 100
"""What may come beyond `MAX_CONNECTIONS` before those are closed."""
_IDLE_S = 60
"""How long an idle connection is kept."""
_MAX_HEADER_BYTES = 32_768
_MAX_BODY_BYTES = 131_072
"""A larger body is refused, unread where its length is told; up to so much of each connection is in memory."""


def create_server(app: Callable[..., Any], host: str, port: int, *, threads: int) -> Any:
    """Return a waitress server that listens; its `run` serves.

    Args:
        app: WSGI application.
        host: Address, or name of one or several; `localhost` is two on many machines.
        port: 0 for any that is free.
        threads: Requests that are answered at a time, beside those for `HEALTH`.

    Raises:
        OSError, ValueError: it cannot listen there.
    """
    if not 0 <= port <= 65_535:
        raise ValueError(f"port {port} is none; use 1 to 65535")  # getaddrinfo(3) would take the last 16 bits
    allow_many_connections()
    # A line for each request that waits would let strangers fill the log.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    adjustments = Adjustments(
        host=host,
        port=port,
        ident=None,
        connection_limit=MAX_CONNECTIONS + _SPARE,
        channel_timeout=_IDLE_S,
        max_request_header_size=_MAX_HEADER_BYTES,
        max_request_body_size=_MAX_BODY_BYTES,
        asyncore_use_poll=True,  # select(2) ends at file descriptor 1,023
    )
    connections: dict[int, Any] = {}
    tasks = _Tasks(threads)
    try:
        servers = [
            _Server(app, connections, dispatcher=tasks, adj=adjustments, sockinfo=place) for place in adjustments.listen
        ]
    except BaseException:
        tasks.shutdown()
        raise
    if len(servers) == 1:
        return servers[0]
    places = [(server.effective_host, server.effective_port) for server in servers]
    return waitress.server.MultiSocketServer(connections, adjustments, places, tasks)


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that knows since when it has waited for a request; bytes of half a request do not count."""

    def __init__(self, *words: Any, **named: Any) -> None:
        self.waits_since_s = time.monotonic()
        super().__init__(*words, **named)

    def service(self) -> None:
        super().service()
        self.waits_since_s = time.monotonic()


class _Server(waitress.server.TcpWSGIServer):  # type: ignore[misc]
    """A server that makes room for a new connection when it is full."""

    channel_class = _Channel

    def readable(self) -> bool:
        """Return whether to accept a connection; called before each time that the server looks at its sockets."""
        if len(self._map) >= MAX_CONNECTIONS:
            waiting = [one for one in self._map.values() if isinstance(one, _Channel) and not one.requests]
            for channel in heapq.nsmallest(_CLOSED_AT_ONCE, waiting, key=lambda one: one.waits_since_s):
                channel.will_close = True  # waitress closes it when it next comes to it
        return bool(super().readable())


class _Tasks:
    """Requests on their way to threads, as waitress' own dispatcher is, but with threads that only `HEALTH` gets."""

    def __init__(self, threads: int) -> None:
        self._common = ThreadedTaskDispatcher()
        self._common.set_thread_count(threads)
        self._health = {path: ThreadedTaskDispatcher() for path in HEALTH}
        for one in self._health.values():
            one.set_thread_count(1)

    def add_task(self, channel: Any) -> None:
        """Let a thread answer the first request of a connection."""
        self._health.get(channel.requests[0].path, self._common).add_task(channel)

    def shutdown(self) -> None:
        """Let the threads finish their requests and end."""
        for one in (self._common, *self._health.values()):
            one.shutdown()


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
