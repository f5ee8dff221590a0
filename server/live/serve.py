"""Serves the live application until it is told to stop."""

import asyncio
import contextlib
import logging
import signal
import socket

import uvicorn

from common import addresses, streaming
from common.listening import allow_many_connections
from server.errors import StoreAwayError, UnusableError
from server.live.app import create_app
from server.live.broadcast import Broadcast
from server.settings import ServerSettings
from server.store import layout
from server.store.redis_store import RedisStore
from server.web.auth import Guard

log = logging.getLogger(__name__)


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
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(one) for one in listen(settings)]
        log.info("live events are on http://%s/api/v1/live", addresses.join(*sockets[0].getsockname()[:2]))
        app = create_app(store, settings, guard, broadcast)
        asyncio.run(run(streaming.server(app), broadcast, sockets))


async def run(server: uvicorn.Server, broadcast: Broadcast, sockets: list[socket.socket]) -> None:
    """Serve on sockets and follow the store until the server is told to stop."""
    following = asyncio.create_task(broadcast.follow(lambda: server.should_exit))
    await server.serve(sockets=sockets)
    await following


def listen(settings: ServerSettings) -> list[socket.socket]:
    """Return listening sockets, one for each address of the host.

    Raises:
        UnusableError: it cannot listen on the address and port.
    """
    try:
        return streaming.listen(settings.live_host, settings.live_port)
    except (OSError, ValueError) as error:
        raise UnusableError(
            f"cannot listen on live_host {settings.live_host} and live_port {settings.live_port} ({error}): "
            "set an address of this machine and a free port"
        ) from error
