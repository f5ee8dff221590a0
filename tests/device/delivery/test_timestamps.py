"""Dates: held until the clock is known, made from the monotonic clock, and never changed afterwards."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outboxes import OPEN, TestClock, open_outbox
from records import heard, reading

from broker.messages import Heard, Reading, decode
from device.delivery.outbox import UNDATED, Outbox
from device.delivery.row import Row
from device.delivery.timestamps import Timestamps

WAIT_S = 600
TRUE_MS = 1_760_000_000_000
"""What the time really is when the machine has just started."""


def put(outbox: Outbox, seq: int, boot: str = "0" * 16) -> None:
    """Put a reading of just now, as the recorder does."""
    end_ms = outbox.timestamps.clock.monotonic_ms()
    stamp = outbox.timestamps.stamp(end_ms)
    record = reading(seq, stamp.at_ms, boot=boot, clock_synced=stamp.synced)
    outbox.put(Row.of(record, stamp))


def dates(outbox: Outbox) -> list[tuple[int, bool]]:
    """Return date and honesty of what may be sent."""
    return [(sent.at, sent.clock_synced) for sent in (decode(row.payload, Reading) for row in outbox.oldest(1_000))]


def test_what_was_heard_before_the_first_synchronisation_gets_its_true_date(tmp_path: Path) -> None:
    """A machine wakes in 1970, hears something, is told the time two minutes later; no date is wrong."""
    wall = TestClock(0, synced=False)
    outbox = open_outbox(tmp_path, clock=wall, wait_s=WAIT_S)
    put(outbox, 0)
    wall.advance(60)
    put(outbox, 1)
    assert dates(outbox) == []
    assert outbox.recent() == []
    assert outbox.waiting()[0] == 2
    wall.advance(60)

    wall.unix_ms, wall.right = TRUE_MS, True
    put(outbox, 2)

    assert dates(outbox) == [(TRUE_MS - 120_000, True), (TRUE_MS - 60_000, True), (TRUE_MS, True)]


def test_after_the_wait_records_go_as_they_are_and_say_so(tmp_path: Path) -> None:
    """Ten minutes at most; then the device goes on with the date that it has, and does not pretend to know."""
    wall = TestClock(5_000, synced=False)
    outbox = open_outbox(tmp_path, clock=wall, wait_s=WAIT_S)
    put(outbox, 0)
    wall.advance(WAIT_S - 0.001)
    assert dates(outbox) == []
    wall.advance(0.001)
    assert dates(outbox) == [(5_000, False)]
    put(outbox, 1)
    assert dates(outbox) == [(5_000, False), (605_000, False)]

    wall.unix_ms, wall.right = TRUE_MS, True

    put(outbox, 2)
    assert dates(outbox) == [(5_000, False), (605_000, False), (TRUE_MS, True)], "what may be sent keeps its date"


def test_a_clock_that_is_trusted_is_not_waited_for(tmp_path: Path) -> None:
    """With a wait of 0 records go at once, and still say whether the clock was synchronised."""
    outbox = open_outbox(tmp_path, clock=TestClock(TRUE_MS, synced=False), wait_s=0)
    put(outbox, 0)

    assert dates(outbox) == [(TRUE_MS, False)]


def test_a_clock_that_is_lost_later_is_not_waited_for(tmp_path: Path) -> None:
    """Once it has been right in this process it is good enough, and the records say what the kernel says."""
    wall = TestClock(TRUE_MS)
    outbox = open_outbox(tmp_path, clock=wall, wait_s=WAIT_S)
    wall.right = False
    put(outbox, 0)

    assert dates(outbox) == [(TRUE_MS, False)]


def test_records_of_an_earlier_process_of_this_machine_start_are_dated_too(tmp_path: Path) -> None:
    """The monotonic clock goes on when only the process starts again."""
    wall = TestClock(0, synced=False)
    outbox = open_outbox(tmp_path, clock=wall, wait_s=WAIT_S)
    put(outbox, 0)
    outbox.close()
    wall.advance(30)
    outbox = open_outbox(tmp_path, clock=wall, wait_s=WAIT_S)
    assert dates(outbox) == []

    wall.unix_ms, wall.right = TRUE_MS, True

    assert dates(outbox) == [(TRUE_MS - 30_000, True)]


def start_again(outbox: Outbox, wall: TestClock, folder: Path) -> Outbox:
    """Return the outbox after a power cut; the machine has been on for three seconds."""
    outbox.close()
    wall.machine_start, wall.since_start_ms, wall.unix_ms, wall.right = "b", 3_000, 0, False
    return open_outbox(folder, clock=wall, wait_s=WAIT_S)


def test_records_of_an_earlier_start_of_the_machine_go_as_they_are(tmp_path: Path) -> None:
    """Nobody can tell any more when they were; they go at once with a date that may be right, and say so."""
    wall = TestClock(TRUE_MS - 90_000_000, synced=False)
    outbox = open_outbox(tmp_path, clock=wall, wait_s=WAIT_S)
    put(outbox, 0)

    outbox = start_again(outbox, wall, tmp_path)

    assert dates(outbox) == [(TRUE_MS - 90_000_000, False)]


def test_records_from_1970_of_an_earlier_start_are_dated_before_this_one(tmp_path: Path) -> None:
    """A server would call them expired: they get the latest date that they may have, as far apart as they were."""
    wall = TestClock(0, synced=False)
    outbox = open_outbox(tmp_path, clock=wall, wait_s=WAIT_S)
    put(outbox, 0)
    wall.advance(60)
    put(outbox, 1)

    outbox = start_again(outbox, wall, tmp_path)
    assert dates(outbox) == []
    wall.unix_ms, wall.right = TRUE_MS, True

    assert dates(outbox) == [(TRUE_MS - 63_000, False), (TRUE_MS - 3_000, False)]


def test_expired_records_of_a_clock_that_was_not_set_are_kept_to_look_at(tmp_path: Path) -> None:
    """The server calls them older than they are, so they are set aside; those with a true date are forgotten."""
    wall = TestClock(0, synced=False)
    outbox = open_outbox(tmp_path, clock=wall, wait_s=WAIT_S)
    put(outbox, 0)
    wall.advance(WAIT_S)
    put(outbox, 1)
    wall.unix_ms, wall.right = TRUE_MS, True
    put(outbox, 2)

    assert outbox.expire("0" * 16, 0, 2) == 2

    assert outbox.waiting()[0] == 0
    assert [(seq, why) for _, seq, why in outbox.refused()] == [(0, UNDATED), (1, UNDATED)]


def test_a_process_that_starts_again_and_again_makes_nothing_wait_for_longer(tmp_path: Path) -> None:
    """A record waits ten minutes in all, not ten minutes for each process."""
    wall = TestClock(5_000, synced=False)
    for start in range(4):
        outbox = open_outbox(tmp_path, clock=wall, wait_s=WAIT_S)
        assert len(dates(outbox)) == max(0, start - 2)
        put(outbox, start)
        wall.advance(201)
        outbox.close()


def test_a_record_that_was_dated_too_late_to_be_held_is_not_forgotten(tmp_path: Path) -> None:
    """The clock may be set between the moment a record is dated and the moment it is put."""
    wall = TestClock(0, synced=False)
    outbox = open_outbox(tmp_path, clock=wall, wait_s=WAIT_S)
    stamp = outbox.timestamps.stamp(wall.monotonic_ms())
    wall.unix_ms, wall.right = TRUE_MS, True
    assert dates(outbox) == []

    outbox.put(Row.of(reading(0, stamp.at_ms, clock_synced=False), stamp))

    assert dates(outbox) == [(TRUE_MS, True)]


def test_heard_records_are_dated_like_readings(tmp_path: Path) -> None:
    """They are held and released together; they do not say whether the clock was right."""
    wall = TestClock(0, synced=False)
    outbox = open_outbox(tmp_path, clock=wall, wait_s=WAIT_S)
    stamp = outbox.timestamps.stamp(wall.monotonic_ms())
    outbox.put(Row.of(heard(0, 0), stamp))
    wall.unix_ms, wall.right = TRUE_MS, True

    (row,) = outbox.oldest(10)

    assert decode(row.payload, Heard) == heard(0, TRUE_MS)


def test_what_waits_in_memory_is_dated_too(tmp_path: Path) -> None:
    """A disk that takes nothing does not keep the clock from being believed."""
    (tmp_path / "file").touch()
    wall = TestClock(0, synced=False)
    outbox = open_outbox(tmp_path / "file", clock=wall, wait_s=WAIT_S)
    put(outbox, 0)
    assert dates(outbox) == []
    wall.unix_ms, wall.right = TRUE_MS, True

    assert dates(outbox) == [(TRUE_MS, True)]


def test_what_is_held_on_a_disk_that_comes_back_is_let_go(tmp_path: Path) -> None:
    """The wait may be over before the file can be opened; what it holds goes out then."""
    wall = TestClock(7_000, synced=False)
    outbox = open_outbox(tmp_path, clock=wall, wait_s=WAIT_S)
    put(outbox, 0)
    outbox.close()
    (tmp_path / "outbox.sqlite").rename(tmp_path / "kept")
    (tmp_path / "outbox.sqlite").mkdir()
    wall.machine_start = "b"
    outbox = open_outbox(tmp_path, clock=wall, wait_s=WAIT_S)
    assert outbox.state == "full"
    assert dates(outbox) == []

    (tmp_path / "outbox.sqlite").rmdir()
    (tmp_path / "kept").rename(tmp_path / "outbox.sqlite")
    wall.advance(WAIT_S)

    assert dates(outbox) == [(7_000, False)]


class World:
    """A device whose clock jumps, is set late, or never; and whose process or machine starts again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = TestClock(0, synced=False)
        self.true_ms = TRUE_MS
        self.boots = 0
        self.put_at: dict[tuple[str, int], int] = {}
        self.order: list[tuple[str, int]] = []
        self.seen: dict[tuple[str, int], bytes] = {}
        self.outbox = open_outbox(folder, clock=self.clock, wait_s=WAIT_S)

    def hear(self, _value: int) -> None:
        """Put a reading."""
        key = (f"{self.boots:016x}", len(self.order))
        self.put_at[key] = self.true_ms
        self.order.append(key)
        put(self.outbox, key[1], key[0])

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        self.true_ms += seconds * 1000

    def jump(self, to_ms: int) -> None:
        """Set the clock by hand, which the kernel knows is no synchronisation."""
        self.clock.unix_ms, self.clock.right = to_ms, False

    def sync(self, _value: int) -> None:
        """Synchronise the clock."""
        self.clock.unix_ms, self.clock.right = self.true_ms, True

    def restart(self, _value: int) -> None:
        """Start the process again."""
        self.outbox.close()
        self.boots += 1
        self.outbox = open_outbox(self.folder, clock=self.clock, wait_s=WAIT_S)

    def power_cycle(self, seconds: int) -> None:
        """Start the machine again, in 1970."""
        self.outbox.close()
        self.true_ms += seconds * 1000
        self.clock.unix_ms, self.clock.since_start_ms, self.clock.right = 0, 3_000, False
        self.clock.machine_start += "+"
        self.boots += 1
        self.outbox = open_outbox(self.folder, clock=self.clock, wait_s=WAIT_S)

    def check(self) -> None:
        """Look at what may be sent: valid, in order, unchanged since it could first be sent, and honest."""
        visible = self.outbox.oldest(1_000)
        keys = [(row.boot, row.seq) for row in visible]
        assert keys == [key for key in self.order if key in set(keys)]
        for key, row in zip(keys, visible, strict=True):
            record = decode(row.payload, Reading)
            assert self.seen.setdefault(key, row.payload) == row.payload
            if record.clock_synced:
                assert record.at == self.put_at[key]
        assert set(keys) >= set(self.seen)
        assert self.outbox.waiting()[0] == len(self.order)


STEPS = st.one_of(
    st.tuples(st.just("hear"), st.just(0)),
    st.tuples(st.sampled_from(["advance", "power_cycle"]), st.integers(0, 900)),
    st.tuples(st.sampled_from(["sync", "restart"]), st.just(0)),
    st.tuples(st.just("jump"), st.integers(0, 2**48 + 10**6)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_whatever_the_clock_does_nothing_is_lost_reordered_or_dated_twice(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Over jumps, late synchronisations and restarts: what says that its date is right has the true one."""
    world = World(tmp_path_factory.mktemp("clock"))
    for name, value in steps:
        getattr(world, name)(value)
        world.check()
    world.advance(WAIT_S)
    assert len(world.outbox.oldest(1_000)) == len(world.order), "nothing waits for ever"
    world.check()
    world.outbox.close()
    OPEN.clear()


def test_dates_stay_within_what_the_wire_knows() -> None:
    """Neither a clock before 1970 nor one after the year 10000 makes a record that is malformed."""
    wall = TestClock(0)
    assert Timestamps(0, wall).stamp(wall.monotonic_ms() - 10_000).at_ms == 0
    wall.unix_ms = 2**60
    assert Timestamps(0, wall).stamp(wall.monotonic_ms()).at_ms == 2**48 - 1
