"""A device's events are read page by page from the store."""

from records import DEVICE, OTHER_BOOT, status
from services import RunningStore

from server.store.redis_store import RedisStore


def test_events_are_read_page_by_page(any_store: RunningStore) -> None:
    """Pages of one event each have every event once, in order, with the event before."""
    store = RedisStore(any_store.url, 1, 1)
    store.prepare()
    said = [status(), status(state="paused", connection=2), status(boot=OTHER_BOOT, model="other-1")]
    store.write([(DEVICE, message) for message in said])
    end = store.now() + 1
    before, changes = store.event_page(DEVICE, 0, end, "", 10)
    assert before is None
    assert [(change.state, change.model) for change in changes] == [(each.state, each.model) for each in said]

    after, pages = "", []
    while page := store.event_page(DEVICE, 0, end, after, 1)[1]:
        assert store.event_page(DEVICE, 0, end, after, 1)[0] == (pages[-1] if pages else None)
        pages += page
        after = page[-1].id
    assert pages == changes
    assert store.event_page(DEVICE, end, end + 10, "", 1) == (changes[-1], [])
    assert store.event_page(DEVICE, end, end + 10, "0-0", 1) == (changes[-1], [])
