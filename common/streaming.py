"""Servers of ours that stream: one event loop for any number of open connections, over uvicorn."""

import asyncio
import logging
import socket
from contextlib import ExitStack
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_WAITING = 1000
"""Connections without a request in progress; a further one ends the one that has waited longest."""
_USER_TIMEOUT_MS = 60_000
"""The system closes a connection whose client acknowledges nothing for so long."""
_SEND_BUFFER_BYTES = 131_072
"""The system's buffer for each connection, about; its default grows to megabytes for a slow client."""


def server(app: Any) -> uvicorn.Server:
    """Return a server of an ASGI application, without logs of its own and without trust in proxy headers.

    A stranger needs no password to open connections and to send half a request, so those are limited.
    """
    # A line for each malformed request would let strangers fill the log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    return uvicorn.Server(
        uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            loop="asyncio",
            http=_limited_protocol(),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
    )


def _limited_protocol() -> type[H11Protocol]:
    """Return uvicorn's protocol for one server, which ends connections that wait while too many do."""
    waiting: dict[H11Protocol, None] = {}
    """In the order in which they began to wait; half a request, or half its body, does not count."""

    class Limited(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            waiting.pop(self, None)
            super().connection_lost(exc)

        def handle_events(self) -> None:
            super().handle_events()
            if self.cycle and not self.cycle.more_body and not self.cycle.response_complete:
                waiting.pop(self, None)

        def on_response_complete(self) -> None:
            self._wait()
            super().on_response_complete()

        def _wait(self) -> None:
            waiting.pop(self, None)
            waiting[self] = None
            if len(waiting) > MAX_WAITING:
                longest = next(iter(waiting))
                del waiting[longest]
                longest.transport.abort()

    return Limited


def listen(host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen on each address of a host, `localhost` being two on many machines.

    Their connections end when the client reads nothing for a minute.

    Args:
        host: Address or name.
        port: 0 for any that is free.

    Raises:
        OSError, ValueError: it cannot listen there.
    """
    if not 0 <= port <= 65_535:
        raise ValueError(f"port {port} is none; use 1 to 65535")  # getaddrinfo(3) would take the last 16 bits
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with ExitStack() as stack:
        sockets: list[socket.socket] = []
        for family, address in dict.fromkeys((place[0], place[4][0]) for place in found):
            taken = sockets[0].getsockname()[1] if sockets else port
            one = stack.enter_context(socket.create_server((str(address), taken), family=family, backlog=1024))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)  # connections inherit it
            # asyncio does the same only where a socket knows its protocol, which one of create_server does not. Without
            # it a body waits for the acknowledgement of its headers, which takes the other side 40 ms (RFC 896, 1122).
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
            sockets.append(one)
        stack.pop_all()
    return sockets
