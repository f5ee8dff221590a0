"""A dashboard with its REST API and the store behind it, which the test writes to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from records import DAY_MS, DEVICE, health, reading, status
from rooms import VIEWER, Rest, Room
from services import RunningStore

from server.store.redis_store import RedisStore

KEY = "key-of-the-tests"


class World:
    """A store to write to, the page's address, and live events on demand."""

    def __init__(
        self, store: RunningStore, rest: tuple[Rest, Room], dashboard: Room, page: str, live_port: int
    ) -> None:
        self.store = RedisStore(store.url, retention_ms=DAY_MS, rollup_retention_ms=DAY_MS)
        self.store.prepare()
        self.rest, server = rest
        self.stop_rest = server.kill
        self.dashboard = dashboard
        self.page = page
        self._live_stream = self.store.live_stream
        self._live = {"redis_url": store.url, "viewer_token": VIEWER, "live_port": live_port}
        self._next_seq = 0

    @contextmanager
    def live_events(self, folder: Path) -> Iterator[None]:
        """Serve live events while the context lasts."""
        with Room(folder, "server", "live", **self._live):
            self.dashboard.says("live events come from")
            yield

    def speak(self, count: int, state: str = "speech", **scores: float) -> None:
        """Store readings of the last seconds, the newest now."""
        now = self.store.now()
        for i in range(count):
            at = now - (count - 1 - i) * 1_000
            changes = {"state": state} | ({"scores": scores} if scores else {})
            told = [(DEVICE, reading(self._next_seq, at, **changes))]
            self.store.write(told)
            self._live_stream.add(told)
            self._next_seq += 1
        self._live_stream.flush()

    def announce(self, **changes: object) -> None:
        """Store the device's name and status; online by default."""
        self.store.write([(DEVICE, status(**changes))])

    def complain(self, **changes: object) -> None:
        """Store the device's health."""
        self.store.write([(DEVICE, health(**changes))])
