"""A dashboard over a REST API over a store that the test writes to."""

from records import DAY_MS, DEVICE, health, reading, status
from rooms import Rest
from services import RunningStore

from server.redis_store import RedisStore

KEY = "key-of-the-tests"


class World:
    """What a dashboard test needs: a store to write to, and the page's address."""

    def __init__(self, store: RunningStore, rest: Rest, page: str) -> None:
        self.store = RedisStore(store.url, retention_ms=DAY_MS, rollup_retention_ms=DAY_MS)
        self.store.prepare()
        self.rest = rest
        self.page = page
        self._next_seq = 0

    def speak(self, count: int, **scores: float) -> None:
        """Store readings of the last seconds, the newest now."""
        now = self.store.now()
        for i in range(count):
            at = now - (count - 1 - i) * 1_000
            changes = {"scores": scores} if scores else {}
            self.store.write([(DEVICE, reading(self._next_seq, at, **changes))])
            self._next_seq += 1

    def announce(self) -> None:
        """Let the device come online."""
        self.store.write([(DEVICE, status())])

    def complain(self, **changes: object) -> None:
        """Let the device tell how it is."""
        self.store.write([(DEVICE, health(**changes))])
