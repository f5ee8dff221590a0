"""A store with the layout of another version is refused in a sentence and stays as it is."""

from collections.abc import Iterator

import pytest
from records import DAY_MS, DEVICE, reading
from services import RunningStore

from server.errors import UnusableError
from server.store import keys, layout
from server.store.redis_store import RedisStore


@pytest.fixture
def store(redis_store: RunningStore) -> Iterator[RedisStore]:
    """Return an empty store that is not yet prepared."""
    store = RedisStore(redis_store.url, DAY_MS, DAY_MS)
    yield store
    store.close()


def test_an_empty_store_gets_our_layout(store: RedisStore) -> None:
    """An empty store has no layout, passes the check, and has ours once it is prepared."""
    assert layout.found(store.execute) is None
    layout.check(store.execute)
    store.prepare()
    store.write([(DEVICE, reading(0, store.now()))])
    assert layout.found(store.execute) == keys.LAYOUT_VERSION
    layout.check(store.execute)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ("99", "holds data in layout 99, and this version reads layout 2: use the version that wrote it"),
        ("1", "holds data in layout 1, and this version reads layout 2: use the version that wrote it"),
        ("x", "mw:layout in the store is b'x', not a number: use the version that wrote it"),
    ],
)
def test_another_layout_is_refused(store: RedisStore, found: str, sentence: str) -> None:
    """A newer layout, an older one, and what is no number are refused and left as they are."""
    store.execute("SET", keys.LAYOUT, found)
    for refused in (lambda: layout.check(store.execute), store.prepare):
        with pytest.raises(UnusableError, match=sentence):
            refused()
    assert store.execute("GET", keys.LAYOUT) == found.encode()


def test_a_store_of_layout_1_is_refused(redis_store: RunningStore, store: RedisStore) -> None:
    """Data of layout 1, which had no number, is named and left alone."""
    redis_store.client.zadd(keys.DEVICES, {DEVICE: 0})
    with pytest.raises(UnusableError, match="holds data in layout 1, and this version reads layout 2"):
        store.prepare()
    assert redis_store.client.keys("*") == [keys.DEVICES.encode()]
