"""A web server that a device downloads from."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from patience import REPLY_S


class Site:
    """A web server with one page; `?to=…` redirects there."""

    def __init__(self, content: bytes | None, *, hold: bool, slowly: bool) -> None:
        self.go = threading.Event()
        if not hold:
            self.go.set()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if "?to=" in self.path:
                    self.send_response(302)
                    self.send_header("Location", self.path.partition("?to=")[2])
                    self.end_headers()
                elif content is None:
                    self.send_error(404)
                else:
                    site.go.wait(REPLY_S)
                    self.send_response(200)
                    self.end_headers()
                    site.send(self, content, slowly=slowly)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def send(self, handler: BaseHTTPRequestHandler, content: bytes, *, slowly: bool) -> None:
        """Send the page, at once or in small pieces, until the client disconnects."""
        step = 1_000 if slowly else len(content)
        pause = threading.Event()
        try:
            for start in range(0, len(content), step):
                handler.wfile.write(content[start : start + step])
                if slowly:
                    pause.wait(0.02)
        except OSError:
            pass


@contextmanager
def serving(content: bytes | None, *, hold: bool = False, slowly: bool = False) -> Iterator[Site]:
    """Run a web server while the context lasts."""
    site = Site(content, hold=hold, slowly=slowly)
    thread = threading.Thread(target=site.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield site
    finally:
        site.go.set()
        site.server.shutdown()
        site.server.server_close()
        thread.join()
