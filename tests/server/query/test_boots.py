"""Two devices with one id are told from one device that was restarted."""

from records import BOOT, DEVICE, OTHER_BOOT, reading
from stores import next_millisecond, write

from server.query.boots import overlap
from server.store.redis_store import RedisStore


def test_two_devices_with_one_id_are_stored_apart(store: RedisStore) -> None:
    """Two boots that send in turns for the same time keep all their readings, and the overlap is seen."""
    now = store.now()
    for seq in range(10):
        for boot in (BOOT, OTHER_BOOT):
            write(store, reading(seq, now - 1000 * seq - 500 * (boot == OTHER_BOOT), boot=boot))
            next_millisecond(store)
    boots = store.boots(DEVICE)
    assert [(boot.boot, boot.records, boot.missing) for boot in boots] == [(OTHER_BOOT, 10, 0), (BOOT, 10, 0)]
    assert overlap(boots)
    assert not overlap(boots[:1])


def test_a_clock_that_steps_back_is_no_second_device(store: RedisStore) -> None:
    """Readings for the same time that come one boot after the other are those of one device that was restarted."""
    now = store.now()
    for boot in (BOOT, OTHER_BOOT):
        write(store, *(reading(seq, now - 1000 * seq, boot=boot) for seq in range(10)))
        next_millisecond(store)
    assert len(store.boots(DEVICE)) == 2
    assert not overlap(store.boots(DEVICE))
