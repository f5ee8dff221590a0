"""Serves the live application until it is told to stop."""

import asyncio
import contextlib
import logging
import signal
import socket

import uvicorn
from starlette.types import ASGIApp

from common import addresses
from common.listening import allow_many_connections
from server.errors import StoreAwayError, UnusableError
from server.live.app import create_app
from server.live.broadcast import Broadcast
from server.settings import ServerSettings
from server.store import layout
from server.store.redis_store import RedisStore
from server.web.auth import Guard

log = logging.getLogger(__name__)

_USER_TIMEOUT_MS = 60_000
"""The system closes a connection whose client acknowledges nothing for so long."""
_SEND_BUFFER_BYTES = 131_072
"""The system's buffer for each connection, about; its default grows to megabytes for a slow client."""


def serve(store: RedisStore, settings: ServerSettings) -> None:
    """Serve live events until SIGTERM or SIGINT.

    Raises:
        UnusableError: it cannot listen on the address and port, or the store holds data in another layout.
    """
    with contextlib.suppress(StoreAwayError):  # `follow` waits for it
        layout.check(store.execute)
    allow_many_connections()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn ends in order on these, and then raises them once more
    guard = Guard(settings, store)
    broadcast = Broadcast(store.live_stream, guard.prepare)
    with listen(settings) as listening:
        log.info("live events are on http://%s/api/v1/live", addresses.join(*listening.getsockname()[:2]))
        asyncio.run(run(server(create_app(store, settings, guard, broadcast)), broadcast, listening))


def server(app: ASGIApp) -> uvicorn.Server:
    """Return a server of the application, without logs of its own and without trust in proxy headers."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            loop="asyncio",
            http="h11",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
    )


async def run(server: uvicorn.Server, broadcast: Broadcast, listening: socket.socket) -> None:
    """Serve on a socket and follow the store until the server is told to stop."""
    following = asyncio.create_task(broadcast.follow(lambda: server.should_exit))
    await server.serve(sockets=[listening])
    await following


def listen(settings: ServerSettings) -> socket.socket:
    """Return a listening socket, whose connections end when the client reads nothing for a minute.

    Raises:
        UnusableError: it cannot listen on the address and port.
    """
    try:
        family = socket.AF_INET6 if ":" in settings.live_host else socket.AF_INET
        listening = socket.create_server((settings.live_host, settings.live_port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        raise UnusableError(
            f"cannot listen on live_host {settings.live_host} and live_port {settings.live_port} ({error}): "
            "set an address of this machine and a free port"
        ) from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)  # connections inherit it
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
    return listening
