"""A store with the layout of another version is refused in a sentence and stays as it is."""

import struct
from collections.abc import Iterator

import pytest
from records import BOOT, DAY_MS, DEVICE, reading
from services import RunningStore
from stores import write

from broker.messages import MAX_SEQ
from server.errors import StoreAwayError, UnusableError
from server.ops.backup_archive import export
from server.ops.backup_format import BootLine
from server.store import keys, layout, limits
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
        ("99", "holds data in layout 99, and this version reads layout 3: use the version that wrote it"),
        ("1", "holds data in layout 1, and this version reads layout 3: use the version that wrote it"),
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
    with pytest.raises(UnusableError, match="holds data in layout 1, and this version reads layout 3"):
        store.prepare()
    assert redis_store.client.keys("*") == [keys.DEVICES.encode()]


def make_layout_2(store: RedisStore, *numbers: int) -> int:
    """Make the store one of layout 2, in which a boot has sent these numbers; return when their bits expire."""
    now, expires = store.now(), store.now() + 5 * DAY_MS
    facts = struct.pack("<IddIIIdd", 1, now, now, len(numbers), min(numbers), max(numbers), now, now)
    store.execute("SET", keys.LAYOUT, 2)
    store.execute("ZADD", keys.DEVICES, 0, DEVICE)
    store.execute("HSET", keys.base(DEVICE), "boots", 1, "first_seen", now, "last_seen", now)
    store.execute("HSET", keys.boots(DEVICE), bytes.fromhex(BOOT), facts)
    for number in numbers:
        store.execute("SETBIT", keys.seen(DEVICE, 1, None), number, 1)
    store.execute("PEXPIREAT", keys.seen(DEVICE, 1, None), expires)
    return expires


def test_a_store_of_layout_2_is_read_on(store: RedisStore, redis_store: RunningStore) -> None:
    """What the version before has stored is read as it is, and a record that comes again counts once."""
    numbers = [0, 1, 5, 4096, 9000, MAX_SEQ]
    expires = make_layout_2(store, *numbers)
    redis_store.client.function_load("#!lua name=moodwire_2\nredis.register_function('mw2_write', function() end)")
    layout.check(store.execute)
    assert store.boots(DEVICE)[0].records == 6
    store.prepare()
    assert layout.found(store.execute) == 3
    assert not redis_store.client.function_list("moodwire_2"), "the version before can write no more"
    (told,), _ = store.sequences(DEVICE, 0, store.now() + 1)
    assert told.missing == [(2, 4), (6, 4095), (4097, 8999), (9001, MAX_SEQ - 1)]
    seen = [(number, number) for number in numbers[2:]]
    (line,) = (line for line in export(store) if isinstance(line, BootLine))
    assert line.seen == [(0, 1), *seen]
    assert redis_store.client.exists(keys.seen(DEVICE, 1, None)), "nothing was divided to be read"
    assert write(store, *(reading(number, store.now()) for number in numbers)) == ["repeat"] * 6
    assert write(store, reading(2, store.now())) == ["stored"]
    assert not redis_store.client.exists(keys.seen(DEVICE, 1, None))
    assert redis_store.client.pttl(keys.seen(DEVICE, 1, 2)) == -1
    assert redis_store.client.zscore(keys.page_days(DEVICE), limits.PAGES_PER_BOOT + 2) >= expires // DAY_MS - 5
    (told,), _ = store.sequences(DEVICE, 0, store.now() + 1)
    assert told.missing == [(3, 4), (6, 4095), (4097, 8999), (9001, MAX_SEQ - 1)]


def test_erasing_takes_the_bitmaps_of_layout_2_along(store: RedisStore, redis_store: RunningStore) -> None:
    """A device whose boots were not yet divided leaves nothing but its generation."""
    make_layout_2(store, 7)
    store.prepare()
    assert store.erase(DEVICE).records == 1
    assert redis_store.client.keys("mw:{*") == [keys.base(DEVICE).encode()]


def test_a_store_that_is_emptied_under_us_can_still_be_opened(
    store: RedisStore, redis_store: RunningStore, caplog: pytest.LogCaptureFixture
) -> None:
    """After FLUSHALL the next batch marks the store again, says so once, and lists its devices."""
    store.prepare()
    write(store, reading(0, store.now()))
    redis_store.client.flushall()
    for seq in range(3):
        assert write(store, reading(seq, store.now())) == ["stored"]
    assert layout.found(store.execute) == 3
    assert [device.id for device in store.devices("", 10)] == [DEVICE]
    assert [record.message.partition(" was ")[2] for record in caplog.records] == [
        "emptied meanwhile: what it held is gone; it is marked with our layout again"
    ]


def test_a_store_that_is_exchanged_under_us_is_left_alone(store: RedisStore, redis_store: RunningStore) -> None:
    """Data of another layout that comes while we write stops the writing, and the next start says why."""
    store.prepare()
    redis_store.client.set(keys.LAYOUT, 99)
    with pytest.raises(StoreAwayError, match="has data of layout 99"):
        store.write([(DEVICE, reading(0, store.now()))])
    with pytest.raises(UnusableError, match="holds data in layout 99"):
        store.prepare()
