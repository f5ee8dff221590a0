"""A server of live events, and its clients."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from brokers import DEVICE, free_port
from clients import OPERATOR, VIEWER
from patience import REPLY_S
from records import DAY_MS, reading
from rooms import bearer
from services import RunningStore, wait_until

from common import streaming
from server.live import serve
from server.live.app import create_app
from server.live.broadcast import Broadcast
from server.settings import ServerSettings
from server.store.redis_store import RedisStore
from server.web.auth import Guard

ALL, ONE = "/api/v1/live", f"/api/v1/devices/{DEVICE}/live"


class LiveClient:
    """Client of server-sent events that reads in a thread."""

    def __init__(self, url: str, **headers: str) -> None:
        named = bearer(VIEWER) | {name.replace("_", "-"): value for name, value in headers.items()}
        self.response = requests.get(url, headers=named, stream=True, timeout=REPLY_S)
        assert self.response.status_code == 200, self.response.text
        self._socket = self.response.raw._fp.fp.raw._sock
        self.text = ""
        self.ended = False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    @property
    def events(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return the events so far: id, kind and data."""
        found = []
        for block in self.text.split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "event" in fields:
                found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
        return found

    def wait(self, count: int) -> list[tuple[str, str, dict[str, Any]]]:
        """Wait for a number of events and return all."""
        wait_until(lambda: len(self.events) >= count, f"{count} events are there")
        return self.events

    def close(self) -> None:
        """Close the connection."""
        if not self.ended:
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.response.close()

    def _read(self) -> None:
        try:
            for chunk in self.response.iter_content(None):
                self.text += chunk.decode()
        except requests.RequestException:
            pass
        self.ended = True


class LiveServer:
    """The server of live events in a thread of this process, over a real store and real sockets."""

    def __init__(self, running: RunningStore, **changes: Any) -> None:
        given = {"viewer_token": VIEWER, "operator_token": OPERATOR, "live_port": free_port()} | changes
        settings = ServerSettings(**given)
        self.store = RedisStore(running.url, 90 * DAY_MS, 730 * DAY_MS)
        self.store.prepare()
        self.live_stream = self.store.live_stream
        self.url = f"http://127.0.0.1:{settings.live_port}"
        self.guard = Guard(settings, self.store)
        self.broadcast = Broadcast(self.live_stream, self.guard.prepare)
        self._sockets = serve.listen(settings)
        self._server = streaming.server(create_app(self.store, settings, self.guard, self.broadcast))
        self._thread = threading.Thread(
            target=lambda: asyncio.run(serve.run(self._server, self.broadcast, self._sockets))
        )
        self._thread.start()
        wait_until(lambda: self.broadcast.subscribers is not None, "the store has answered")

    def send(self, device: str, *sent: Any) -> None:
        """Store and publish messages as ingest does."""
        pairs = [(device, message) for message in sent]
        outcomes = self.store.write(pairs)
        assert all(outcome and outcome.kind == "stored" for outcome in outcomes)
        self.live_stream.add(pairs)
        self.live_stream.flush()

    def readings(self, first: int, count: int, device: str = DEVICE) -> None:
        """Send readings with these sequence numbers, one batch each."""
        now = self.store.now()
        for seq in range(first, first + count):
            self.send(device, reading(seq, now + seq))

    def get(self, path: str, **headers: str) -> requests.Response:
        """Return the answer to a request with a viewer's token."""
        return requests.get(self.url + path, headers=bearer(VIEWER) | headers, timeout=REPLY_S)

    def subscribers(self) -> int:
        """Return the number of subscribers."""
        assert self.broadcast.subscribers is not None
        return len(self.broadcast.subscribers)

    def stop(self) -> None:
        """Stop the server."""
        self._server.should_exit = True
        self._thread.join()
        for one in self._sockets:
            one.close()


@contextmanager
def connected(server: LiveServer, path: str, **headers: str) -> Iterator[LiveClient]:
    """Subscribe while the context lasts."""
    client = LiveClient(server.url + path, **headers)
    try:
        yield client
    finally:
        client.close()
