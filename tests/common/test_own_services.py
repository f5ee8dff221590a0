"""Requests to our own services carry our token, whatever the environment of the user has."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from patience import REPLY_S

from common import own_services


class Service(ThreadingHTTPServer):
    """A service that keeps what it is shown."""

    shown: str | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    """Answers every request alike."""

    server: Service

    def do_GET(self) -> None:
        """Keep the header, and answer."""
        self.server.shown = self.headers["Authorization"]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def service() -> Iterator[Service]:
    """Run a service."""
    server = Service(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    service: Service, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A machine in a company has a proxy, which cannot reach the machine's own loopback."""
    monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert own_services.get(service.url, "secret", timeout=REPLY_S).ok
    assert service.shown == "Bearer secret"


def test_a_login_in_netrc_does_not_replace_the_token(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A ~/.netrc with an entry for this host is about something else."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))

    own_services.get(service.url, "secret", timeout=REPLY_S)

    assert service.shown == "Bearer secret"


@pytest.mark.parametrize("token", ["mw_viewer_…", "ключ", " secret\n"])
def test_a_token_that_is_none_reaches_the_service(service: Service, token: str) -> None:
    """The service then refuses it with a sentence; a blank around it is no part of it."""
    assert own_services.get(service.url, token, timeout=REPLY_S).ok
    assert service.shown is not None
    assert service.shown.encode("latin-1").decode() == f"Bearer {token.strip()}"
