"""A sweep begins once an hour, only by clocks that can be believed, and goes through all devices in small steps."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from server.ingest import sweeper
from server.ingest.sweeper import AGAIN_S, EVERY_S, FIRST_S, Sweeper
from server.store.retention import Step

NOON_MS = 1_764_590_400_000
DAY_MS = 86_400_000
NOTHING = Step(0, None, "")


class Room:
    """A store that notes what it is asked, clocks that a test sets, and the sweeper between them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steady_s = 5_000.0
        self.wrong_ms = 0
        self.reason = ""
        self.agree: bool | None = True
        self.believed: int | None = None
        self.steps: list[Step] = []
        self.asked: list[tuple[str, int]] = []
        self.ended: list[tuple[int, int]] = []
        self.put_off: Callable[[str], None] = self._note
        self.reasons: list[str] = []
        monkeypatch.setattr(sweeper, "steady_s", lambda: self.steady_s)
        me: Any = self
        self.sweeper = Sweeper(me, me)

    @property
    def now_ms(self) -> int:
        """The store's clock."""
        return NOON_MS + round(1000 * (self.steady_s - 5_000.0)) + self.wrong_ms

    def _note(self, reason: str) -> None:
        self.reasons.append(reason)

    def keep(self) -> bool:
        """Return that no key expires any more."""
        return True

    def begin(self, now_ms: int) -> int:
        """Return until when the clocks were believed."""
        return self.believed if self.believed is not None else now_ms

    def sweep(self, after: str, until_ms: int) -> Step:
        """Do the next of the steps that the test has prepared."""
        self.asked.append((after, until_ms))
        return self.steps.pop(0) if self.steps else NOTHING

    def end(self, now_ms: int, until_ms: int) -> None:
        """Note that it is done."""
        self.ended.append((now_ms, until_ms))

    def doubt(self) -> str:
        """Return what the test says of the clock."""
        return self.reason

    def devices_agree(self) -> bool | None:
        """Return what the test says of the devices."""
        return self.agree

    def turn(self, after_s: float = 0.0) -> None:
        """Let time pass, and look what is due."""
        self.steady_s += after_s
        self.sweeper.turn(self.now_ms)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    """Return a room in which ingest has just started."""
    return Room(monkeypatch)


def test_the_first_sweep_waits_until_devices_have_spoken_and_then_one_comes_each_hour(room: Room) -> None:
    """Each goes through all devices, a step at each turn, until what the store's clock shows."""
    room.turn(FIRST_S - 1)
    assert room.asked == []
    room.steps = [Step(3, "a", ""), Step(0, "a", ""), Step(1, "b", "")]
    for _ in range(6):
        room.turn(2)
    assert [after for after, _ in room.asked] == ["", "a", "a", "b"]
    assert room.ended == [(room.now_ms - 4_000, room.now_ms - 4_000)]
    room.turn(EVERY_S - 10)
    assert len(room.asked) == 4
    room.turn(10)
    assert len(room.asked) == 5
    assert room.reasons == []


@pytest.mark.parametrize("agree", [True, None])
def test_a_doubted_clock_sweeps_nothing_and_says_so_once(
    room: Room, caplog: pytest.LogCaptureFixture, *, agree: bool | None
) -> None:
    """It is tried again every five minutes, each try is counted, and two lines of the log tell begin and end."""
    caplog.set_level(logging.INFO)
    room.agree, room.reason = agree, "the clock of the server shows nonsense: set it"
    for _ in range(3):
        room.turn(FIRST_S)
        room.turn(AGAIN_S - 1)
    assert room.asked == []
    assert room.reasons == ["the clock of the server shows nonsense: set it"] * 3
    room.reason = ""
    room.turn(AGAIN_S)
    assert len(room.ended) == 1
    assert [record.message for record in caplog.records] == [
        "nothing is deleted by its age: the clock of the server shows nonsense: set it",
        "what is past the retention is deleted again",
    ]


def test_devices_that_do_not_agree_stop_a_sweep_in_its_middle(room: Room) -> None:
    """The clocks are judged at each step; afterwards it goes on where it was."""
    room.turn()
    room.steps = [Step(0, "a", "")]
    room.turn(FIRST_S)
    room.agree = False
    room.turn(1)
    assert "too few of the synchronised devices" in room.reasons[0]
    room.agree = True
    room.turn(AGAIN_S)
    assert [after for after, _ in room.asked] == ["", "a"]


def test_without_devices_nothing_goes_faster_than_the_steady_clock(room: Room) -> None:
    """Store and ingest share a clock that was set ahead; nobody else is there, and nothing goes because of it."""
    room.agree = None
    room.turn(FIRST_S)
    assert room.asked[-1][1] == room.now_ms
    room.wrong_ms = 100 * DAY_MS
    for hours in range(1, 30):
        room.turn(EVERY_S)
        assert room.asked[-1][1] == NOON_MS + round(1000 * (FIRST_S + hours * EVERY_S))
    room.wrong_ms = -DAY_MS
    room.turn(EVERY_S)
    assert room.asked[-1][1] == room.now_ms, "nor is anything deleted that a slow clock still keeps"


def test_a_restart_without_devices_goes_on_from_where_the_clocks_were_believed(room: Room) -> None:
    """The time in which ingest did not run counts only once a device agrees."""
    room.agree, room.believed = None, NOON_MS - 7 * DAY_MS
    room.turn()
    room.turn(FIRST_S)
    assert room.asked == [("", NOON_MS - 7 * DAY_MS + round(1000 * FIRST_S))]
    room.agree = True
    room.turn(EVERY_S)
    assert room.asked[-1] == ("", room.now_ms)


def test_what_the_store_refuses_is_put_off(room: Room) -> None:
    """The store has compared the clocks once more, at the moment of the deletion."""
    room.steps = [Step(0, "", "the clock of the store is 8640000 s off that of ingest")]
    room.turn(FIRST_S)
    room.turn(FIRST_S)
    assert room.reasons == ["the clock of the store is 8640000 s off that of ingest"]
    assert len(room.ended) == 1
