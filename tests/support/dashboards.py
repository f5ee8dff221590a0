"""The dashboard's application in a thread, over a REST API and live events that a test makes up."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from services import wait_until

from common import streaming
from dashboard.app import create_app
from dashboard.assets import Assets
from dashboard.login import Login
from dashboard.sessions import Sessions
from dashboard.upstream import Service

TOKENS = {"v-token": ("wall", "viewer"), "o-token": ("ops", "operator")}
Answer = tuple[int, dict[str, str], bytes]
Make = Callable[[BaseHTTPRequestHandler, bytes], Answer | None]


class MadeUp:
    """A service that answers what a test wants; without that, it knows two tokens and echoes nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        """Method, target, headers in lower case and body of each request."""
        self.make: Make | None = None
        """Makes the answer; None from it: it has answered itself."""
        made_up = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                super().handle_one_request()
                self.close_connection = True

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                made_up.asked.append((self.command, self.path, headers, body))
                found = (made_up.make or _know_tokens)(self, body)
                if found is None:
                    return
                status, more, content = found
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(content)), "Connection": "close"} | more).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815 - names of http.server

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        """Stop answering."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


def _know_tokens(request: BaseHTTPRequestHandler, _body: bytes) -> Answer:
    """Answer as REST does: who a token is, 401 for an unknown one, and `{}` for all else."""
    found = TOKENS.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
    json = {"Content-Type": "application/json"}
    if request.path == "/readyz?verbose":
        return 200, {}, b"[+] store: ok\n[+] ingest: ok\nready\n"
    if found is None:
        return 401, {"Content-Type": "application/problem+json"}, b'{"detail": "unknown token"}'
    if request.path == "/api/v1/token":
        return 200, json, b'{"name": "%s", "role": "%s"}' % tuple(word.encode() for word in found)
    return 200, json, b"{}"


class Dashboard:
    """The application on a port of its own."""

    def __init__(self, rest: str, live: str, path: Path | None, key: str, lifetime_s: int = 3600) -> None:
        self.sessions = Sessions(path, lifetime_s)
        assets, service = Assets(), Service("REST", rest)
        self.login = Login(assets, self.sessions, service, key, "v-token")
        app = create_app(assets, self.login, service, Service("live events", live))
        self._sockets = streaming.listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}"
        self._server = streaming.server(app)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve(self._sockets)))
        self._thread.start()
        wait_until(lambda: self._server.started, "the dashboard serves")

    def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        for one in self._sockets:
            one.close()

    def browser(self, token: str = "") -> "Browser":
        """Return a browser, logged in if a token is given."""
        browser = Browser(self.url)
        if token:
            assert browser.post("/login", data={"token": token}).status_code == 303
            browser.csrf = browser.get("/session").json()["csrf"]
        return browser


class Browser(requests.Session):
    """A browser of one dashboard; it follows no redirect."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.trust_env = False
        self.url = url
        self.csrf = ""

    def request(self, method: str, url: str, *args: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request to a path."""
        return super().request(
            method, self.url + url, *args, **({"timeout": 20} | options | {"allow_redirects": False})
        )


@contextmanager
def dashboard(
    rest: MadeUp, live: MadeUp, path: Path | None = None, key: str = "the key", lifetime_s: int = 3600
) -> Iterator[Dashboard]:
    """Serve the dashboard while the context lasts."""
    running = Dashboard(rest.url, live.url, path, key, lifetime_s)
    try:
        yield running
    finally:
        running.stop()
