"""Readings of clocks in, trust out: whose clock is wrong, and when a record may be called too old."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ingest.clock_trust import Clocks, Sighting, doubt, is_vouched_for, sighted

NOON_S = 1_764_590_400.0
"""2025-12-01 12:00:00 UTC."""
DAY_S = 86_400.0
HUNDRED_DAYS_S = 100 * DAY_S


class Room(NamedTuple):
    """A server that has run for an hour, with devices that are right, and its clocks wrong by so many seconds."""

    store_s: float = 0.0
    own_s: float = 0.0

    def clocks(self, after_s: float = 0.0) -> Clocks:
        """Return the clocks after so many seconds."""
        return Clocks(NOON_S + after_s + self.store_s, NOON_S + after_s + self.own_s, 3_600.0 + after_s)


def device(error_s: float = 0.0, *, after_s: float = -10.0, since_s: float = -3_000.0) -> Sighting:
    """Return a device whose clock is wrong by so many seconds, heard last so long after now."""
    beyond_s = NOON_S - 3_600.0 + error_s
    return Sighting(beyond_s, beyond_s, 3_600.0 + since_s, 3_600.0 + after_s)


@pytest.mark.parametrize(
    ("room", "devices", "words"),
    [
        (Room(), [], ""),
        (Room(), [device(), device(-3.0), device(200.0)], ""),
        # one of two clocks is wrong, on machines of their own
        (Room(store_s=-DAY_S), [], "store shows 2025-11-30 12:00:00 UTC, that of ingest 2025-12-01 12:00:00 UTC"),
        (Room(store_s=HUNDRED_DAYS_S), [device()], "the clock of the store shows"),
        (Room(own_s=90.0), [device()], "that of ingest"),
        (Room(store_s=1e15), [], "the clock of the store shows 1"),
        (Room(store_s=50.0), [device()], ""),
        # both are wrong, on one machine
        (Room(-DAY_S, -DAY_S), [device()], "1 of 1 synchronised devices are 86400 s ahead"),
        (Room(-DAY_S, -DAY_S), [device(), device(-DAY_S), device()], "2 of 3 synchronised devices"),
        (Room(HUNDRED_DAYS_S, HUNDRED_DAYS_S), [device(), device()], "2 of 2 synchronised devices are 8640000 s beh"),
        (Room(-DAY_S, -DAY_S), [], ""),  # nobody is there to tell
        # a device is wrong, or somebody lies with a stolen account
        (Room(), [device(DAY_S), device()], ""),
        (Room(), [device(DAY_S), device(-HUNDRED_DAYS_S), device()], ""),
        # what a device said long ago counts no more
        (Room(-DAY_S, -DAY_S), [device(after_s=-700.0)], ""),
        # a device that has just come back with an old backlog has not sent anything new yet
        (Room(), [device(-HUNDRED_DAYS_S, since_s=-5.0)], ""),
    ],
)
def test_a_clock_that_others_contradict_is_doubted(room: Room, devices: list[Sighting], words: str) -> None:
    """Ingest's own clock and the majority of synchronised devices decide; a single device of several does not."""
    found = doubt(room.clocks(), devices)
    assert words in found
    assert bool(found) == bool(words)


def test_a_clock_that_is_right_again_is_believed_at_once() -> None:
    """What devices said while the clock was right convicts it when it jumps, and acquits it when it is back."""
    devices = [device()]
    jumps_s = (0.0, -DAY_S, 0.0, HUNDRED_DAYS_S, 0.0)
    told = [bool(doubt(Room(jump_s, jump_s).clocks(5.0), devices)) for jump_s in jumps_s]
    assert told == [False, True, False, True, False]


@pytest.mark.parametrize(
    ("room", "devices", "vouched"),
    [
        (Room(), [], True),
        (Room(), [device()], True),
        (Room(), [device(-HUNDRED_DAYS_S, since_s=-5.0)], False),  # it, or the clock: wait for a newer record
        (Room(), [device(-HUNDRED_DAYS_S, since_s=-5.0), device()], True),
        (Room(), [device(-HUNDRED_DAYS_S, since_s=-5.0)] * 2 + [device()], False),
        (Room(HUNDRED_DAYS_S, HUNDRED_DAYS_S), [device(since_s=-5.0)], False),
        (Room(store_s=-DAY_S), [device()], False),
    ],
)
def test_a_record_is_too_old_only_by_a_clock_that_others_share(
    room: Room, devices: list[Sighting], *, vouched: bool
) -> None:
    """Without half of the devices for it, nothing is called expired, which they would forget."""
    assert is_vouched_for(room.clocks(), devices) is vouched


@given(ages=st.lists(st.tuples(st.floats(0, 1e7), st.floats(0, 300)), min_size=1, max_size=30))
def test_a_device_is_as_late_as_its_newest_record(ages: list[tuple[float, float]]) -> None:
    """A backlog in any order, sent without a long pause, tells what the newest record in it tells."""
    now_s, sighting, offsets = 3_600.0, None, []
    for age_s, pause_s in ages:
        now_s += pause_s
        sighting = sighted(sighting, [NOON_S - age_s], now_s)
        offsets.append(NOON_S - age_s - now_s)
    assert sighting == Sighting(max(offsets), offsets[-1], 3_600.0 + ages[0][1], now_s)


def test_one_record_from_the_future_convicts_nobody_and_vouches_for_nothing() -> None:
    """A device that goes on with the right time does not stop ingest; until that record is forgotten it counts not."""
    clocks = Room().clocks()
    wrong = sighted(device(), [NOON_S + DAY_S, NOON_S], clocks.steady_s)
    assert doubt(clocks, [wrong]) == ""
    assert not is_vouched_for(clocks, [wrong])
    assert is_vouched_for(clocks, [wrong, device()])
