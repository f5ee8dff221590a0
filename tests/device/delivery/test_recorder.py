"""What becomes of windows: readings, one heard record a minute, and minutes of pause."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from outboxes import BOOT, OPEN, TestClock, open_outbox

from broker.messages import MAX_SEQ, Heard, Reading, decode
from device.delivery.recorder import Recorder
from device.inference.pipeline import Window, WindowState
from models.bundle import find, load

MANIFEST = load(find("ang-hap-neu")).manifest


class World:
    """A recorder, its outbox, and a clock that moves with each window."""

    def __init__(self, folder: Path) -> None:
        self.clock = TestClock()
        self.outbox = open_outbox(folder, clock=self.clock)
        self.recorder = Recorder(self.outbox, BOOT, MANIFEST)
        self.dropped = 0

    def hear(self, seconds: int = 1, state: WindowState = "speech", **facts: Any) -> Reading | None:
        """Hear a window each second and return the last reading."""
        reading = None
        for _ in range(seconds):
            self.clock.advance(1)
            scores = None if state == "silent" else np.array([0.7, 0.2, 0.1])
            usual = {
                "smoothed": scores,
                "top": None,
                "level_dbfs": -30.0,
                "clipping": 0.0,
                "snr_db": None if scores is None else 20.0,
            }
            window = Window(end_ms=self.clock.monotonic_ms(), state=state, scores=scores, **(usual | facts))
            reading = self.recorder.add(window, self.dropped)
        return reading

    def pause(self, seconds: int) -> None:
        """Be paused."""
        for _ in range(seconds + 1):
            self.recorder.pause(self.clock.monotonic_ms())
            self.clock.advance(1)

    def put(self) -> list[Reading | Heard]:
        """Return all records, in their order."""
        rows = self.outbox.oldest(10_000)
        assert [row.seq for row in rows] == list(range(len(rows)))
        return [decode(row.payload, Reading if row.kind == "reading" else Heard) for row in rows]

    def heard(self) -> list[Heard]:
        """Return the heard records."""
        return [record for record in self.put() if isinstance(record, Heard)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return an empty world."""
    return World(tmp_path)


def test_speech_becomes_a_reading_that_is_in_the_outbox(world: World) -> None:
    """With the window's own scores, level and end; silence becomes none."""
    assert world.hear(state="silent") is None
    reading = world.hear(level_dbfs=-23.456)

    assert reading == Reading(
        boot=BOOT,
        seq=0,
        gen=0,
        at=world.clock.now_ms(),
        span_ms=MANIFEST.window_ms,
        state="speech",
        scores={"ANG": 0.7, "HAP": 0.2, "NEU": 0.1},
        level_dbfs=-23.5,
        model=MANIFEST.name,
        clock_synced=True,
    )
    assert world.put() == [reading]


def test_each_minute_becomes_a_heard_record(world: World) -> None:
    """It counts windows by what was in them, and means are over those that have the fact."""
    world.dropped = 3
    world.hear(30, "silent", level_dbfs=-60.0)
    world.dropped = 5
    world.hear(20, "speech", level_dbfs=-30.0, snr_db=18.0, clipping=0.3)
    world.hear(10, "uncertain", level_dbfs=-36.0, snr_db=12.0)

    (heard,) = world.heard()
    assert heard == Heard(
        boot=BOOT,
        seq=30,
        gen=0,
        at=world.clock.now_ms(),
        span_ms=60_000,
        windows=60,
        silent=30,
        speech=20,
        uncertain=10,
        dropped=2,
        level_dbfs=-46.0,
        clipping=0.1,
        snr_db=16.0,
    )
    world.hear(60, "silent")
    assert world.heard()[1].snr_db is None
    assert world.heard()[1].dropped == 0


def test_a_minute_that_ends_early_is_kept(world: World) -> None:
    """When listening ends what was heard is recorded; when nothing was heard, nothing is."""
    world.hear(7, "silent")
    world.recorder.close_minute(world.clock.monotonic_ms(), 0)
    world.recorder.close_minute(world.clock.monotonic_ms(), 0)

    assert [(heard.windows, heard.span_ms) for heard in world.heard()] == [(7, 7_000)]


def test_each_minute_of_a_pause_becomes_a_record_that_says_so(world: World) -> None:
    """A pause is neither silence nor absence: no windows, the floor as level, and `paused`."""
    world.hear(10, "silent")
    world.pause(150)
    world.hear(10, "silent")
    world.recorder.close_minute(world.clock.monotonic_ms(), 0)

    told = [(heard.paused, heard.windows, heard.span_ms, heard.level_dbfs, heard.snr_db) for heard in world.heard()]
    assert told == [
        (False, 10, 10_000, -30.0, None),
        (True, 0, 60_000, -120.0, None),
        (True, 0, 60_000, -120.0, None),
        (True, 0, 32_000 - MANIFEST.window_ms, -120.0, None),
        (False, 10, 10_000, -30.0, None),
    ]


def test_another_model_goes_on_with_boot_and_numbers(world: World) -> None:
    """After a switch readings carry the other model's name and labels, and the minute goes on."""
    world.hear(10)
    other = replace(MANIFEST, name="other-2", labels=("SAD", "HAP", "NEU"), window_ms=2_000)
    world.recorder.use(other)
    reading = world.hear(10)

    assert reading
    assert (reading.boot, reading.seq, reading.model, reading.span_ms) == (BOOT, 19, "other-2", 2_000)
    assert list(reading.scores) == ["SAD", "HAP", "NEU"]
    world.hear(40)
    assert [heard.windows for heard in world.heard()] == [60]


def test_records_belong_to_the_generation_of_their_moment(world: World) -> None:
    """After an erasure new records carry the new generation."""
    world.hear()
    world.outbox.raise_generation(4)

    reading = world.hear()

    assert reading
    assert (reading.seq, reading.gen) == (1, 4)


def test_a_boot_ends_when_its_numbers_are_used_up(world: World) -> None:
    """No number is used twice."""
    world.recorder._next_seq = MAX_SEQ
    reading = world.hear()
    assert reading
    assert reading.seq == MAX_SEQ

    with pytest.raises(OverflowError, match="start the device again"):
        world.hear()


STEPS = st.one_of(
    st.tuples(st.just("hear"), st.integers(1, 90)),
    st.tuples(st.just("pause"), st.integers(0, 200)),
    st.tuples(st.just("jump"), st.integers(-(2**49), 2**49)),
    st.tuples(st.just("sleep"), st.integers(0, 10_000_000)),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(STEPS, max_size=8))
def test_no_clock_makes_a_record_that_is_malformed(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Jumps of the clock and machines that sleep for months: every record is as the wire wants it, none is missing."""
    world = World(tmp_path_factory.mktemp("recorder"))
    readings = 0
    for name, value in steps:
        if name == "hear":
            world.hear(value)
            readings += value
        elif name == "pause":
            world.pause(value)
        elif name == "jump":
            world.clock.unix_ms, world.clock.right = value, value % 2 == 0
        else:
            world.clock.advance(value)
    world.recorder.close_minute(world.clock.monotonic_ms(), 0)

    found = world.put()
    assert sum(isinstance(record, Reading) for record in found) == readings
    assert sum(heard.windows for heard in world.heard()) == readings
    OPEN.pop().close()
