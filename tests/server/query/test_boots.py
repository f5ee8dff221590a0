"""Two devices with one id are told from one device that was restarted."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from records import BOOT, DEVICE, OTHER_BOOT, reading
from stores import next_millisecond, write

from server.query.boots import overlap
from server.store.redis_store import RedisStore
from server.store.types import Boot


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


def boot(first_at: int, last_at: int, first_arrival: int, last_arrival: int) -> Boot:
    """Return a boot with these times."""
    return Boot(BOOT, first_at, last_at, 1, 0, 0, 0, first_arrival, last_arrival)


spans = st.tuples(st.integers(0, 12), st.integers(0, 4)).map(lambda span: (span[0], sum(span)))
some_boots = st.lists(st.tuples(spans, spans).map(lambda both: boot(*both[0], *both[1])), max_size=8)


@given(some_boots)
def test_the_sweep_finds_what_all_pairs_would(boots: list[Boot]) -> None:
    """Whether two boots overlap is the same as when each is compared with each, also for those of one moment."""
    boots.sort(key=lambda one: one.first_at)
    pairs = any(
        other.last_at > one.first_at
        and one.last_arrival > other.first_arrival
        and other.last_arrival > one.first_arrival
        for place, one in enumerate(boots)
        for other in boots[:place]
    )
    assert overlap(boots) == pairs


def test_thousands_of_boots_for_the_same_time_are_looked_at_once() -> None:
    """Ten thousand boots of an attacker, all for the same hour, cost ten thousand looks, not fifty million."""
    looks: Counter[str] = Counter()

    class Watched(Boot):
        """A boot that counts how often its arrivals are read."""

        def __getattribute__(self, name: str) -> Any:
            looks[name] += 1
            assert looks[name] < 100_000, "each boot is compared with each"
            return super().__getattribute__(name)

    assert not overlap([Watched(BOOT, 0, 3_600_000, 1, 0, 0, 0, 2 * n, 2 * n + 1) for n in range(10_000)])
    assert looks["last_arrival"] == 10_000
