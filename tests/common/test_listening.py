"""Servers that listen take many connections, IPv6 addresses, and names with several addresses."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import requests
from networks import needs_ipv6
from patience import REPLY_S

from common import listening

THREADS = 4


def app(_environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """Answer every request alike."""
    start("200 OK", [])
    return [b"here"]


@contextmanager
def served(host: str, app: Callable[..., Iterable[bytes]] = app) -> Iterator[str]:
    """Serve as long as the context lasts, and give the address."""
    server = listening.create_server(app, host, 0, threads=THREADS)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield listening.url(server, host)
    finally:
        server.close()
        thread.join(REPLY_S)


def test_strangers_that_only_connect_keep_nobody_out() -> None:
    """More connections than a server holds, with half a request each, and others are still answered."""
    with served("127.0.0.1") as url, ExitStack() as idle:
        port = int(url.rpartition(":")[2])
        for _ in range(listening.MAX_CONNECTIONS + 100):
            stranger = idle.enter_context(socket.create_connection(("127.0.0.1", port)))
            stranger.sendall(b"GET /livez HT")

        with requests.Session() as session:
            assert [session.get(url, timeout=REPLY_S).text for _ in range(3)] == ["here"] * 3


def test_slow_requests_do_not_keep_the_health_waiting() -> None:
    """While every thread is busy, whoever asks whether the server lives is answered."""
    finish = threading.Event()
    busy = threading.Semaphore(0)

    def slow(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environment["PATH_INFO"] not in listening.HEALTH:
            busy.release()
            finish.wait(REPLY_S)
        return app(environment, start)

    with served("127.0.0.1", slow) as url, ThreadPoolExecutor(2 * THREADS) as pool:
        try:
            waiting = [
                pool.submit(lambda: requests.get(f"{url}/slow", timeout=REPLY_S).text) for _ in range(2 * THREADS)
            ]
            for _ in range(THREADS):
                assert busy.acquire(timeout=REPLY_S)
            for path in listening.HEALTH:
                assert requests.get(f"{url}{path}", timeout=REPLY_S).text == "here"
            assert not any(one.done() for one in waiting)
        finally:
            finish.set()
        assert {one.result() for one in waiting} == {"here"}


def test_a_large_body_is_not_taken() -> None:
    """A body is refused where its length is told, and else as soon as it is too long."""
    with served("127.0.0.1") as url:
        port = int(url.rpartition(":")[2])
        for head in (b"Content-Length: 600000000\r\n", b"Transfer-Encoding: chunked\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=REPLY_S) as client:
                client.sendall(b"POST / HTTP/1.1\r\nHost: here\r\n" + head + b"\r\n")
                with contextlib.suppress(OSError):  # the server closes the connection
                    for _ in range(600):
                        client.sendall(b"f4240\r\n" + bytes(1_000_000) + b"\r\n")
                    pytest.fail("600 MB were taken")


@needs_ipv6
def test_an_ipv6_address_is_served_and_told_in_brackets() -> None:
    """What the log tells can be pasted into a browser."""
    with served("::1") as url:
        assert url.startswith("http://[::1]:")
        assert requests.get(url, timeout=REPLY_S).text == "here"


@needs_ipv6
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
        assert requests.get(f"http://127.0.0.1:{port}", timeout=REPLY_S).text == "here"


@pytest.mark.parametrize("port", [-1, 65_536, 99_999])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    """The system would silently take its last 16 bits instead."""
    with pytest.raises(ValueError, match=f"port {port} is none; use 1 to 65535"):
        listening.create_server(app, "127.0.0.1", port, threads=THREADS)
