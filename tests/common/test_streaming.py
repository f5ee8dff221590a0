"""Servers that stream listen on every address of a host, and hold many connections in one loop."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest
import requests
from networks import needs_ipv6
from patience import REPLY_S
from services import wait_until

from common import streaming
from common.listening import allow_many_connections


@contextmanager
def served(app: Any) -> Iterator[int]:
    """Serve an application as long as the context lasts, and give the port."""
    sockets = streaming.listen("127.0.0.1", 0)
    server = streaming.server(app)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=sockets)))
    thread.start()
    try:
        yield sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        for one in sockets:
            one.close()


@pytest.mark.parametrize(
    ("host", "family"),
    [("127.0.0.1", socket.AF_INET), pytest.param("::1", socket.AF_INET6, marks=needs_ipv6)],
)
def test_an_address_of_either_kind_is_listened_on(host: str, family: socket.AddressFamily) -> None:
    """A machine without IPv4 serves too."""
    (listening,) = streaming.listen(host, 0)
    with listening, closing(socket.create_connection(listening.getsockname()[:2], timeout=REPLY_S)) as client:
        assert client.family == family


def test_a_body_does_not_wait_until_its_headers_are_acknowledged() -> None:
    """Connections send at once (TCP_NODELAY): the other side may take 40 ms to acknowledge what came before."""
    (listening,) = streaming.listen("127.0.0.1", 0)
    with (
        listening,
        socket.create_connection(listening.getsockname(), timeout=REPLY_S),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@needs_ipv6
def test_a_name_with_two_addresses_is_listened_on_at_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` is two addresses on many machines."""
    found = [
        (family, socket.SOCK_STREAM, 6, "", (address, 0))
        for family, address in ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"))
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    with ExitStack() as stack:
        sockets = [stack.enter_context(one) for one in streaming.listen("localhost", 0)]

        assert len({one.getsockname()[1] for one in sockets}) == 1
        assert {one.family for one in sockets} == {socket.AF_INET6, socket.AF_INET}


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 99_999), ("127.0.0.1", -1), ("no host", 0), ("192.0.2.1", 0)])
def test_where_nobody_can_listen_is_an_error(host: str, port: int) -> None:
    """A port beyond 65535 is no other port."""
    with pytest.raises((OSError, ValueError)):
        streaming.listen(host, port)


@pytest.mark.slow
def test_a_thousand_streams_are_held_at_once() -> None:
    """None of them waits for another to end."""
    opened: list[None] = []
    end = threading.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here\n", "more_body": True})
        opened.append(None)
        while not end.is_set():  # noqa: ASYNC110 - set in another thread
            await asyncio.sleep(0.1)

    with served(app) as port, ExitStack() as stack:
        stack.callback(end.set)
        for _ in range(1000):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=REPLY_S))
            client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        wait_until(lambda: len(opened) == 1000, "all are open", 120)


async def answer(_scope: Any, receive: Any, send: Any) -> None:
    """Answer each request once all of it has come."""
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHo", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"]
)
def test_strangers_that_only_connect_are_let_go(sent: bytes) -> None:
    """Of more connections than may wait, with nothing, half a head or half a request, the oldest end."""
    allow_many_connections()
    with served(answer) as port, ExitStack() as waiting:
        first = []
        for number in range(streaming.MAX_WAITING + 10):
            stranger = waiting.enter_context(socket.create_connection(("127.0.0.1", port)))
            stranger.sendall(sent)
            first += [stranger] if number < 10 else []

        assert requests.get(f"http://127.0.0.1:{port}", timeout=REPLY_S).text == "here"
        for stranger in first:
            stranger.settimeout(30)
            with contextlib.suppress(ConnectionResetError):
                assert stranger.recv(1) == b""
