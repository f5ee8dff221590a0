"""What one device can make the store keep is bounded, whatever it sends, and an erasure sets it back."""

import random

import pytest
from records import BOOT, DEVICE, OTHER_BOOT, heard, reading, status
from services import RunningStore
from stores import write

from broker.messages import MAX_SEQ
from server.store import keys, limits
from server.store.redis_store import RedisStore
from server.store.types import Clock


def used_bytes(any_store: RunningStore) -> int:
    """Return the memory that the keys of all devices take."""
    return sum(any_store.client.memory_usage(key, samples=0) for key in any_store.client.keys("mw:{*"))


def test_boots_that_begin_at_the_highest_number_cost_little_memory(store: RedisStore, any_store: RunningStore) -> None:
    """One message of a hundred new boots, each with the highest sequence number, takes less than 200 kB."""
    now = store.now()
    assert write(store, *(heard(MAX_SEQ, now, boot=f"{boot:016x}") for boot in range(100))) == ["stored"] * 100
    assert used_bytes(any_store) < 200_000
    assert write(store, *(heard(MAX_SEQ, now, boot=f"{boot:016x}") for boot in range(100))) == ["repeat"] * 100


def test_a_number_far_away_costs_one_page(store: RedisStore, any_store: RunningStore) -> None:
    """Numbers spread over all that the wire allows cost a page each and are told from their repeats, in any order."""
    now, dice = store.now(), random.Random(1)
    numbers = [*range(0, MAX_SEQ, 1_000_003), MAX_SEQ]
    dice.shuffle(numbers)
    assert set(write(store, *(heard(seq, now) for seq in numbers))) == {"stored"}
    assert used_bytes(any_store) < 1500 * len(numbers)
    dice.shuffle(numbers)
    assert set(write(store, *(heard(seq, now) for seq in numbers))) == {"repeat"}
    (boot,) = store.boots(DEVICE)
    assert (boot.records, boot.missing) == (len(numbers), MAX_SEQ + 1 - len(numbers))


def test_the_pages_of_a_device_are_counted(store: RedisStore) -> None:
    """A device with as many pages as are allowed gets no other; numbers in the pages that it has are stored."""
    now = store.now()
    assert write(store, heard(0, now)) == ["stored"]
    store.execute("ZADD", keys.pages(DEVICE), *(n for n in range(2**20, 2**20 + limits.MOST_PAGES - 1) for _ in "ab"))
    (outcome,) = store.write([(DEVICE, heard(limits.PAGE_NUMBERS, now))])
    assert outcome is not None
    assert outcome.kind == "refused"
    assert "65536 pages of sequence numbers" in outcome.reason
    assert write(store, heard(limits.PAGE_NUMBERS - 1, now)) == ["stored"]


def test_a_flood_of_boots_ends_with_the_day(store: RedisStore) -> None:
    """More than a thousand boots a day wait, and are told why; those that are known go on, and tomorrow is new."""
    now = store.now()
    flood = [(DEVICE, heard(0, now, boot=f"{boot:016x}")) for boot in range(limits.MOST_BOOTS_A_DAY + 50)]
    kinds = [outcome and outcome.kind for outcome in store.write(flood)]
    assert kinds == ["stored"] * limits.MOST_BOOTS_A_DAY + ["later"] * 50
    (outcome,) = store.write([(DEVICE, reading(0, now, boot="f" * 16))])
    assert outcome is not None
    assert "has begun 1000 boots today" in outcome.reason
    assert write(store, reading(1, now, boot=f"{7:016x}")) == ["stored"]
    store.execute("HINCRBY", keys.base(DEVICE), "boots_day", -1)
    assert write(store, reading(0, now, boot="f" * 16)) == ["stored"]


def test_a_device_full_of_boots_forgets_those_that_cannot_come_again(store: RedisStore) -> None:
    """When all places for boots are taken, those whose records have expired go; an erasure frees all."""
    now = store.now()
    write(store, reading(0, now))
    fact = store.execute("HGET", keys.boots(DEVICE), bytes.fromhex(BOOT))
    others = [word for n in range(1, limits.MOST_BOOTS) for word in ((2**40 + n).to_bytes(8, "big"), fact)]
    store.execute("HSET", keys.boots(DEVICE), *others)
    (outcome,) = store.write([(DEVICE, reading(0, now, boot=OTHER_BOOT, gen=0))])
    assert outcome is not None
    assert "has 10000 boots within the retention" in outcome.reason
    old = fact[:4] + bytes(16) + fact[20:]  # first and last at are 0
    store.execute("HSET", keys.boots(DEVICE), (2**40 + 5).to_bytes(8, "big"), old)
    unsure = store.send([(DEVICE, reading(0, now, boot=OTHER_BOOT))], clock=Clock(is_vouched_for=False))()
    assert [outcome and outcome.kind for outcome in unsure] == ["later"]
    assert len(store.boots(DEVICE)) == limits.MOST_BOOTS, "nothing is forgotten by a clock that nobody vouches for"
    assert write(store, reading(0, now, boot=OTHER_BOOT)) == ["stored"]
    assert len(store.boots(DEVICE)) == limits.MOST_BOOTS
    store.erase(DEVICE)
    assert write(store, reading(0, now, boot="f" * 16, gen=1)) == ["stored"]


@pytest.mark.slow
def test_no_number_of_hellos_locks_a_device_out(store: RedisStore, any_store: RunningStore) -> None:
    """Seventy thousand hellos of new boots take no memory that stays, and the device's records are stored as before."""
    for first in range(0, 70_000, 10_000):
        store.write([(DEVICE, status(boot=f"{boot:016x}")) for boot in range(first, first + 10_000)])
    assert used_bytes(any_store) < 1_500_000, "some 10,000 events are kept, and nothing else"
    assert write(store, reading(0, store.now(), boot="f" * 16)) == ["stored"]
    assert store.boots(DEVICE)[0].records == 1


def test_a_generation_far_ahead_is_refused_and_an_erasure_still_counts_on(store: RedisStore) -> None:
    """A record of the highest generation changes nothing; one of a few erasures that the store forgot is taken."""
    now = store.now()
    (outcome,) = store.write([(DEVICE, reading(0, now, gen=2**48))])
    assert outcome is not None
    assert outcome.kind == "refused"
    assert "gen 281474976710656 is more than 10000 erasures ahead" in outcome.reason
    assert store.generation(DEVICE) == 0
    assert write(store, reading(0, now), reading(1, now, gen=3)) == ["stored", "stored"]
    assert store.erase(DEVICE).generation == 4


def test_erasing_repairs_a_generation_beyond_the_wire(store: RedisStore) -> None:
    """A device whose generation was driven to the highest one gets one that devices can follow."""
    store.execute("HSET", keys.base(DEVICE), "gen", 2**48, "first_seen", 1)
    generation = store.erase(DEVICE).generation
    assert generation == limits.REPAIRED_GENERATION
    assert write(store, reading(0, store.now(), gen=generation)) == ["stored"]
