"""Pages of sequence numbers are told as runs, and what is missing between them."""

from hypothesis import given
from hypothesis import strategies as st
from records import BOOT, DAY_MS, DEVICE, OTHER_BOOT, reading
from stores import write

from broker.messages import MAX_SEQ
from server.store import keys, sequences
from server.store.limits import PAGE_NUMBERS, PAGES_PER_BOOT
from server.store.redis_store import RedisStore

numbers = st.sets(st.integers(0, 3 * PAGE_NUMBERS) | st.integers(0, MAX_SEQ), max_size=30)


def as_runs(found: set[int]) -> list[tuple[int, int]]:
    """Return numbers as runs."""
    runs: list[tuple[int, int]] = []
    for number in sorted(found):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


@given(numbers)
def test_runs_become_pages_and_runs_again(found: set[int]) -> None:
    """Whatever numbers are set, their pages have just these, and the holes between them are all others."""
    runs = as_runs(found)
    table = sequences.runs(sequences.pages(runs))
    assert [*map(tuple, table.tolist())] == runs
    assert sequences.count(table) == len(found)
    holes = sequences.holes(table, 0)
    assert sequences.count(holes) == max(found, default=-1) + 1 - len(found)
    assert found.isdisjoint(holes.flatten().tolist())


def test_missing_numbers_are_told_for_each_boot(store: RedisStore) -> None:
    """What never came is named as ranges, over the borders of pages and of pages that do not exist."""
    now = store.now()
    far = 5 * PAGE_NUMBERS
    write(store, *(reading(seq, now - 9000) for seq in (1, 2, PAGE_NUMBERS - 1, PAGE_NUMBERS, far)))
    write(store, *(reading(seq, now - 3000, boot=OTHER_BOOT) for seq in (0, 1, 2)))
    (first, second), more = store.sequences(DEVICE, now - 60_000, now)
    assert not more
    assert (first.boot.boot, first.boot.highest, first.known_from, first.more) == (BOOT, far, 0, False)
    assert first.missing == [(0, 0), (3, PAGE_NUMBERS - 2), (PAGE_NUMBERS + 1, far - 1)]
    assert sum(end - start + 1 for start, end in first.missing) == first.boot.missing
    assert (second.boot.boot, second.missing) == (OTHER_BOOT, [])
    assert store.sequences(DEVICE, now - 60_000, now - 5000) == ([first], False)
    assert store.sequences(DEVICE, now, now + 60_000) == ([], False)


def test_of_many_holes_and_boots_the_newest_are_told(store: RedisStore) -> None:
    """A device that loses every other record, or restarts all the time, makes no endless answer."""
    now = store.now()
    for number in range(5):
        times = (now - 9000 + 1000 * number, f"{number:016x}")
        write(store, *(reading(seq, times[0], boot=times[1]) for seq in range(0, 100, 2)))
    boots, more = store.sequences(DEVICE, 0, now, most_boots=3, most_runs=60)
    assert more
    assert [boot.boot.boot[-1] for boot in boots] == ["2", "3", "4"]
    assert [(len(boot.missing), boot.more) for boot in boots] == [(0, True), (11, True), (49, False)]
    assert boots[1].missing[-1] == (97, 97)


def test_what_the_retention_has_taken_is_not_missing(store: RedisStore) -> None:
    """Numbers whose page has expired are unknown, not missing."""
    now = store.now()
    write(store, *(reading(seq, now) for seq in range(10)), reading(PAGE_NUMBERS, now), reading(PAGE_NUMBERS + 2, now))
    store.execute("DEL", keys.seen(DEVICE, 1, 0))
    ((found,), _) = store.sequences(DEVICE, 0, now + 1)
    assert (found.known_from, found.missing) == (PAGE_NUMBERS, [(PAGE_NUMBERS + 1, PAGE_NUMBERS + 1)])


def test_a_page_lives_as_long_as_the_last_of_its_records(store: RedisStore) -> None:
    """Records that come late, early, and in turns for two pages never shorten the life of a page's bits."""
    now = store.now()
    day = now // DAY_MS
    write(store, reading(0, now - 5 * DAY_MS), reading(PAGE_NUMBERS, now), reading(1, now - 3 * DAY_MS))
    write(store, reading(2, now - 8 * DAY_MS), reading(PAGE_NUMBERS + 1, now - 9 * DAY_MS))
    for page, last in ((0, day - 3), (1, day)):
        assert store.execute("ZSCORE", keys.page_days(DEVICE), PAGES_PER_BOOT + page) == last


def test_a_boot_that_lived_through_an_erasure_misses_nothing_before_it(store: RedisStore) -> None:
    """Its first number after the erasure is where its known numbers begin."""
    now = store.now()
    write(store, reading(0, now))
    store.erase(DEVICE)
    write(store, reading(7, now, gen=1), reading(9, now, gen=1))
    ((found,), _) = store.sequences(DEVICE, 0, now + 1)
    assert (found.known_from, found.missing) == (7, [(8, 8)])
