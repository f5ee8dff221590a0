"""A local webhook, and a rule that uses it."""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from server.alerts.rules import Rule


class Webhook:
    """A local HTTP server that answers with the codes in `answers`, then 204, and keeps what it accepts with 204."""

    def __init__(self) -> None:
        self.posts: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.asked: list[tuple[str, str]] = []
        self.answers: list[int] = []
        self.location = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked.append((self.command, self.path))
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code = outer.answers.pop(0) if outer.answers else 204
                if code == 204:
                    outer.posts.put(json.loads(body))
                self.send_response(code)
                self.send_header("Location", outer.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 -- the name is the standard library's

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def rule(**changes: Any) -> Rule:
    """Return a rule about anger with changes."""
    fields = {"name": "anger", "label": "ANG", "above": 0.6, "below": 0.4, "least_readings": 3}
    return Rule(**(fields | changes))
