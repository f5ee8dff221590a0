"""Servers that listen take many connections, IPv6 addresses, and names with several addresses."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import requests

from common import listening


def app(_environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """Answer every request alike."""
    start("200 OK", [])
    return [b"here"]


@contextmanager
def served(host: str) -> Iterator[str]:
    """Serve as long as the context lasts, and give the address."""
    server = listening.create_server(app, host, 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield listening.url(server, host)
    finally:
        server.close()
        thread.join(10)


def test_idle_connections_keep_nobody_out() -> None:
    """More idle connections than waitress takes by default, and a request is still answered at once."""
    with served("127.0.0.1") as url, ExitStack() as idle:
        port = int(url.rpartition(":")[2])
        for _ in range(150):
            idle.enter_context(socket.create_connection(("127.0.0.1", port)))

        assert requests.get(url, timeout=5).text == "here"


def test_an_ipv6_address_is_served_and_told_in_brackets() -> None:
    """What the log tells can be pasted into a browser."""
    with served("::1") as url:
        assert url.startswith("http://[::1]:")
        assert requests.get(url, timeout=5).text == "here"


def test_a_name_with_several_addresses_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Debian, localhost is both 127.0.0.1 and ::1."""
    real = socket.getaddrinfo

    def both(host: str | None, *words: Any, **named: Any) -> Any:
        if host != "localhost":
            return real(host, *words, **named)
        return [found for address in ("127.0.0.1", "::1") for found in real(address, *words, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", both)

    with served("localhost") as url:
        port = int(url.rpartition(":")[2])
        assert requests.get(f"http://127.0.0.1:{port}", timeout=5).text == "here"


@pytest.mark.parametrize("port", [-1, 65_536, 99_999])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    """The system would silently take its last 16 bits instead."""
    with pytest.raises(ValueError, match=f"port {port} is none; use 1 to 65535"):
        listening.create_server(app, "127.0.0.1", port)
