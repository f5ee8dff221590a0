"""A server that streams holds few connections that wait, and any number that are served."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import requests

from common import streaming
from common.listening import allow_many_connections


async def app(_scope: Any, receive: Any, send: Any) -> None:
    """Answer each request once all of it has come."""
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


@contextmanager
def served() -> Iterator[int]:
    """Serve as long as the context lasts, and give the port."""
    sockets = streaming.listen("127.0.0.1", 0)
    server = streaming.server(app)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=sockets)))
    thread.start()
    try:
        yield sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        for one in sockets:
            one.close()


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHo", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"]
)
def test_strangers_that_only_connect_are_let_go(sent: bytes) -> None:
    """Of more connections than may wait, with nothing, half a head or half a request, the oldest end."""
    allow_many_connections()
    with served() as port, ExitStack() as waiting:
        first = []
        for number in range(streaming.MAX_WAITING + 10):
            stranger = waiting.enter_context(socket.create_connection(("127.0.0.1", port)))
            stranger.sendall(sent)
            first += [stranger] if number < 10 else []

        assert requests.get(f"http://127.0.0.1:{port}", timeout=30).text == "here"
        for stranger in first:
            stranger.settimeout(30)
            with contextlib.suppress(ConnectionResetError):
                assert stranger.recv(1) == b""
