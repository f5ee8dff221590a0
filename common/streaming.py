"""Servers of ours that stream: one event loop for any number of open connections, over uvicorn."""

import socket
from contextlib import ExitStack
from typing import Any

import uvicorn

_USER_TIMEOUT_MS = 60_000
"""The system closes a connection whose client acknowledges nothing for so long."""
_SEND_BUFFER_BYTES = 131_072
"""The system's buffer for each connection, about; its default grows to megabytes for a slow client."""


def server(app: Any) -> uvicorn.Server:
    """Return a server of an ASGI application, without logs of its own and without trust in proxy headers."""
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
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
            sockets.append(one)
        stack.pop_all()
    return sockets
