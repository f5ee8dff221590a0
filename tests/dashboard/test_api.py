"""The dashboard's client of the REST API keeps what seldom changes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from brokers import free_port

from dashboard import api
from dashboard.api import Api, ApiError


class Rest(ThreadingHTTPServer):
    """A REST API that has only `/meta`."""

    asked = 0
    shown: str | None = None


class Handler(BaseHTTPRequestHandler):
    """Answers every request alike, and counts it."""

    server: Rest

    def do_GET(self) -> None:
        """Answer."""
        self.server.asked += 1
        self.server.shown = self.headers["Authorization"]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"emotions": {}}')

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def rest(port: int) -> Iterator[Rest]:
    """Serve as long as the context lasts."""
    server = Rest(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_meta_is_asked_for_once_an_hour_and_again_after_an_outage() -> None:
    """A drawing costs no request for `/meta`, and a server that was away is asked anew."""
    now_s, port = [0.0], free_port()
    client = Api(f"http://127.0.0.1:{port}", "token", lambda: now_s[0])
    with rest(port) as server:
        for _ in range(3):
            assert client.meta() == {"emotions": {}}
        assert server.asked == 1
        now_s[0] = api.META_S
        client.meta()
        assert server.asked == 2
    with pytest.raises(ApiError, match="does not answer"):
        client.devices()
    with rest(port) as server:
        client.meta()
        assert server.asked == 1


def test_the_environment_does_not_come_between_the_page_and_the_api(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither a company's proxy nor a login in ~/.netrc is used for the API on this machine."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    port = free_port()

    with rest(port) as server:
        assert Api(f"http://127.0.0.1:{port}", "token").meta() == {"emotions": {}}

    assert server.shown == "Bearer token"
