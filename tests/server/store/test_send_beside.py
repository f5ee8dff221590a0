"""News for live events go with the next batch in each kind of store, and a Delete leaves none."""

from records import DAY_MS, DEVICE, reading, status
from services import RunningStore

from broker.messages import Command
from server.store.live_stream import Position
from server.store.redis_store import RedisStore


def opened(running: RunningStore) -> RedisStore:
    """Return a store, ready to be written."""
    store = RedisStore(running.url, 90 * DAY_MS, 730 * DAY_MS)
    store.prepare()
    return store


def test_news_go_with_the_next_batch_and_with_a_delete(any_store: RunningStore) -> None:
    """What one batch brought is told with the next one; after a Delete neither news nor commands are left."""
    store = opened(any_store)
    batch = [(DEVICE, status()), (DEVICE, reading(0, store.now()))]
    store.write(batch)
    stream = store.live_stream
    stream.add(batch)
    assert stream.start() is None
    outcomes = store.send([(DEVICE, reading(1, store.now()))], stream.commands())()
    assert [outcome and outcome.kind for outcome in outcomes] == ["stored"]
    events, position = stream.after(Position(0, 0, 0), 10)
    assert [(event.device, event.kind) for event in events] == [(DEVICE, "status"), (DEVICE, "reading")]
    assert position == stream.end()
    store.commands.add(DEVICE, "pause", Command(transaction="ab"))
    store.erase(DEVICE)
    assert stream.start() is None
    assert store.commands.find(DEVICE, "ab") is None
    assert [command.name for command in store.commands.due()] == ["erase"]
