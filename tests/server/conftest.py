"""A client of the REST application, and what it finds."""

from collections.abc import Iterator

import pytest
from clients import Client
from live_events import LiveServer
from records import DEVICE, reading, status
from services import RunningStore
from stores import RETENTION_MS, ROLLUP_RETENTION_MS

from server.store.redis_store import RedisStore


@pytest.fixture
def store(any_store: RunningStore) -> Iterator[RedisStore]:
    """Return an empty store of each kind, ready to be written."""
    store = RedisStore(any_store.url, RETENTION_MS, ROLLUP_RETENTION_MS)
    store.prepare()
    yield store
    store.close()


@pytest.fixture
def client(redis_store: RunningStore) -> Iterator[Client]:
    """Return a client of an application over an empty store."""
    client = Client(redis_store)
    yield client
    client.close()


@pytest.fixture
def server(redis_store: RunningStore) -> Iterator[LiveServer]:
    """Serve live events over an empty store."""
    server = LiveServer(redis_store)
    yield server
    server.stop()


@pytest.fixture
def now(client: Client) -> int:
    """Store three readings of the last minute, 10 s apart, the newest uncertain, and return the time of that."""
    now = client.store.now() // 60_000 * 60_000 - 60_000
    records = [reading(seq, now - 20_000 + 10_000 * seq) for seq in range(2)]
    uncertain = reading(2, now, state="uncertain", scores={"ANG": 0.4, "HAP": 0.3, "NEU": 0.3})
    client.store.write([(DEVICE, record) for record in [status(), *records, uncertain]])
    return now
