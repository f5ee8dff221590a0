"""Every moment that is expected is either stored or in a gap with its cause."""

from typing import Any, NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from broker.messages import DroppedSpan
from server.query.completeness import Cause, Facts, Records, judge
from server.query.time_range import Range
from server.store.types import Boot, BootSequences, DeviceEvent, HeardSpans

BOOT, OTHER_BOOT = "00000000000000aa", "00000000000000bb"
MINUTE_MS = 60_000
CELL_MS = 10_000
"""What happens in the sweep happens at whole cells, so a plain list of cells is the truth."""
CELLS = 400


def spans(*found: tuple[int, int], windows: int = 60, paused: bool = False) -> list[tuple[int, int, int, bool]]:
    """Return heard records from start to end, Unix ms."""
    return [(start, end, windows, paused) for start, end in found]


def heard(found: list[tuple[int, int, int, bool]]) -> HeardSpans:
    """Return heard records as the store gives them."""
    ordered = sorted(found, key=lambda one: one[1])
    start, end, windows = (np.array([one[column] for one in ordered], np.int64) for column in range(3))
    zero, none = np.zeros(len(ordered), np.int64), np.zeros(len(ordered))
    paused = np.array([one[3] for one in ordered], bool)
    return HeardSpans(start, end, windows, windows, zero, zero, zero, none, none, none, paused)


def minutes(*numbers: int) -> list[tuple[int, int, int, bool]]:
    """Return the heard records of some minutes."""
    return spans(*((number * MINUTE_MS, (number + 1) * MINUTE_MS) for number in numbers))


def sequences(records: int, highest: int, *missing: tuple[int, int], boot: str = BOOT) -> BootSequences:
    """Return what is there of a boot."""
    holes = sum(last - first + 1 for first, last in missing)
    return BootSequences(Boot(boot, 0, 0, records, holes, 0, highest, 0, 0), 0, list(missing), more=False)


def told(first: int, last: int, start: int, end: int, *, boot: str = BOOT) -> DroppedSpan:
    """Return what a device tells of what it dropped."""
    return DroppedSpan(boot=boot, first=first, last=last, start=start, end=end, records=last - first + 1)


def facts(**known: Any) -> Facts:
    """Return facts of a device that was online all the time, up to minute 60."""
    online = [DeviceEvent("0-0", 0, "online", "m")]
    given = {"known_since": 0, "now": 60 * MINUTE_MS, "heard": heard([]), "events": online, "told": ()}
    return Facts(**{**given, "waits_since": None, "boots": (), **known})


def in_minutes(known: Facts, start: int = 0, end: int = 60) -> list[tuple[float, float, Cause, int | None]]:
    """Return the gaps in minutes."""
    gaps = judge(known, Range(start * MINUTE_MS, end * MINUTE_MS)).gaps
    return [(gap.start / MINUTE_MS, gap.end / MINUTE_MS, gap.cause, gap.records) for gap in gaps]


def test_what_the_outbox_dropped_is_told_to_the_record() -> None:
    """The gap has the dropped records that are not stored, whatever else is missing, and its first minute too."""
    away = [DeviceEvent("0-0", 0, "online", "m"), DeviceEvent("1-0", 10 * MINUTE_MS, "offline", "m")]
    away.append(DeviceEvent("2-0", 40 * MINUTE_MS, "online", "m"))
    known = facts(
        heard=heard(minutes(*range(10), *range(30, 60))),
        events=away,
        told=[told(100, 299, 11 * MINUTE_MS, 30 * MINUTE_MS)],
        boots=[sequences(500, 699, (105, 299), (400, 404))],
    )
    assert in_minutes(known) == [(10, 30, "dropped", 195)]
    result = judge(known, Range(0, 60 * MINUTE_MS))
    assert result.records == Records(stored=500, missing=200, dropped=195)
    assert result.records.expected == 700
    assert in_minutes(known, end=20) == [(10, 20, "dropped", None)]  # the span ends later
    assert result.by_cause() == {"dropped": (1, 20 * MINUTE_MS)}


def test_what_arrived_after_all_is_not_dropped() -> None:
    """The device did not hear that the server has it, so it is told, and everything is there."""
    known = facts(
        heard=heard(minutes(*range(60))),
        told=[told(100, 109, 11 * MINUTE_MS, 12 * MINUTE_MS)],
        boots=[sequences(700, 699)],
    )
    assert in_minutes(known) == []
    assert judge(known, Range(0, 60 * MINUTE_MS)).records == Records(700, 0, 0)


def test_a_boot_of_which_nothing_arrived_is_known_by_what_it_dropped() -> None:
    """Its numbers are missing, though no stored record has its name."""
    known = facts(told=[told(0, 9, 11 * MINUTE_MS, 12 * MINUTE_MS, boot=OTHER_BOOT)], boots=[sequences(5, 4)])
    assert judge(known, Range(0, 60 * MINUTE_MS)).records == Records(5, 10, 10)
    assert judge(known, Range(20 * MINUTE_MS, 60 * MINUTE_MS)).records == Records(5, 0, 0)


def test_each_cause_is_told() -> None:
    """Paused, away, in the outbox, too young, and what nobody knows."""
    known = facts(
        heard=heard([*minutes(*range(10)), *spans((10 * MINUTE_MS, 20 * MINUTE_MS), windows=0, paused=True)]),
        events=[
            DeviceEvent("0-0", 0, "online", "m"),
            DeviceEvent("1-0", 25 * MINUTE_MS, "offline", "m"),
            DeviceEvent("2-0", 30 * MINUTE_MS, "online", "m"),
        ],
    )
    unknown = [(0.0 + 20, 25.0, "unknown", None), (25.0, 30.0, "offline", None), (30.0, 57.0, "unknown", None)]
    assert in_minutes(known) == [(10.0, 20.0, "paused", None), *unknown, (57.0, 60.0, "not_yet", None)]
    waits = known._replace(waits_since=28 * MINUTE_MS)
    assert in_minutes(waits)[2:] == [(25.0, 27.0, "offline", None), (27.0, 60.0, "waiting", None)]


def test_a_short_unknown_stretch_belongs_to_its_neighbour() -> None:
    """A device that is killed has not sent its last minute; one alone is told as it is."""
    events = [DeviceEvent("0-0", 0, "online", "m"), DeviceEvent("1-0", 11 * MINUTE_MS, "offline", "m")]
    events.append(DeviceEvent("2-0", 20 * MINUTE_MS, "online", "m"))
    known = facts(heard=heard(minutes(*range(10), *range(21, 40), *range(41, 60))), events=events)
    assert in_minutes(known) == [(10.0, 21.0, "offline", None), (40.0, 41.0, "unknown", None)]


def test_up_to_a_second_between_two_records_is_not_missing() -> None:
    """The clock of a device is corrected a little now and then; a record that was dropped is told all the same."""
    late = spans((MINUTE_MS, 2 * MINUTE_MS), (2 * MINUTE_MS + 900, 4 * MINUTE_MS))
    known = facts(now=4 * MINUTE_MS, known_since=MINUTE_MS - 900, heard=heard(late))
    assert in_minutes(known) == []
    assert judge(known, Range(0, 4 * MINUTE_MS)).stored_ms == 3 * MINUTE_MS + 900
    one = told(7, 7, 3 * MINUTE_MS, 3 * MINUTE_MS, boot=OTHER_BOOT)
    assert [gap.records for gap in judge(known._replace(told=[one]), Range(0, 4 * MINUTE_MS)).gaps] == [1]


def test_nothing_is_expected_before_the_device_is_known() -> None:
    """Nor after now."""
    known = facts(known_since=30 * MINUTE_MS, heard=heard(minutes(*range(30, 60))))
    result = judge(known, Range(0, 100 * MINUTE_MS))
    assert (result.expected, result.stored_ms, result.gaps) == ((30 * MINUTE_MS, 60 * MINUTE_MS), 30 * MINUTE_MS, [])
    nothing = judge(known, Range(0, 20 * MINUTE_MS))
    assert (nothing.expected_ms, nothing.stored_ms, nothing.gaps) == (0, 0, [])


cells = st.integers(0, CELLS)
stretches = st.lists(st.tuples(cells, st.integers(1, 60)), max_size=6)


class World(NamedTuple):
    """What happened, in cells; stretches are a start and a length."""

    asked: tuple[int, int]
    known_since: int
    now: int
    listened: list[tuple[int, int]]
    paused: list[tuple[int, int]]
    dropped: list[tuple[int, int]]
    states: list[tuple[int, str]]
    waits: int | None


worlds = st.builds(
    World,
    st.tuples(cells, cells).filter(lambda ends: ends[0] < ends[1]),
    cells,
    cells,
    stretches,
    stretches,
    stretches,
    st.lists(st.tuples(cells, st.sampled_from(["online", "offline", "paused"])), max_size=8),
    st.none() | cells,
)


@given(worlds)
def test_stored_and_missing_are_what_is_expected(world: World) -> None:
    """Whatever happened, gaps are in order and apart, and each cell is where a plain model says it is."""
    kept = [((a * CELL_MS, (a + length) * CELL_MS)) for a, length in world.listened]
    quiet = [((a * CELL_MS, (a + length) * CELL_MS)) for a, length in world.paused]
    gone = [
        told(number, number, a * CELL_MS, (a + length) * CELL_MS, boot=OTHER_BOOT)
        for number, (a, length) in enumerate(world.dropped)
    ]
    changes = sorted(world.states)
    known = facts(
        known_since=world.known_since * CELL_MS,
        now=world.now * CELL_MS,
        heard=heard([*spans(*kept), *spans(*quiet, windows=0, paused=True)]),
        events=[DeviceEvent(f"{at}-0", at * CELL_MS, state, "m") for at, state in changes],
        told=gone,
        waits_since=None if world.waits is None else world.waits * CELL_MS,
    )
    result = judge(known, Range(world.asked[0] * CELL_MS, world.asked[1] * CELL_MS))
    assert result.stored_ms + sum(gap.end - gap.start for gap in result.gaps) == result.expected_ms
    edges = [result.expected[0], *(edge for gap in result.gaps for edge in (gap.start, gap.end)), result.expected[1]]
    assert edges == sorted(edges)
    assert all(gap.start < gap.end for gap in result.gaps)

    expected = range(max(world.asked[0], world.known_since), min(world.asked[1], world.now))
    assert result.expected_ms == len(expected) * CELL_MS
    for cell in expected:
        at = cell * CELL_MS + CELL_MS // 2
        found = [gap.cause for gap in result.gaps if gap.start <= at < gap.end]
        state = [state for since, state in changes if since * CELL_MS <= at][-1:]
        if any(span.start <= at < span.end for span in gone):
            assert found == ["dropped"]
        elif any(start <= at < end for start, end in kept):
            assert found == []
        elif any(span.start - MINUTE_MS <= at < span.start for span in gone):
            assert found == ["dropped"]
        elif any(start <= at < end for start, end in quiet) or state == ["paused"]:
            assert found == ["paused"]
        elif world.waits is not None and at >= world.waits * CELL_MS - MINUTE_MS:
            assert found == ["waiting"]
        elif state == ["offline"]:
            assert found == ["offline"]
        elif at >= world.now * CELL_MS - 3 * MINUTE_MS:
            assert found == ["not_yet"]
        else:
            assert len(found) == 1  # unknown, or of its neighbour
