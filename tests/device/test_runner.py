"""The life of a device, with a source and commands that the test holds in hand."""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import numpy as np
import pytest
from services import wait_until

import models.bundle
from broker.messages import CaptureState, LiveState
from broker.topics import CommandName
from device.audio.source import Block, SourceError
from device.control.commands import Commands
from device.control.overrides import Overrides
from device.delivery.recorder import Recorder
from device.delivery.session import Session
from device.inference.baseline import Baseline
from device.inference.model import VerifiedModel, load_verified
from device.runner import Runner
from device.settings import DeviceSettings
from device.system.resources import Timings
from device.system.systemd import SystemdNotifier
from models.runtime import synthetic_clip

SILENCE = Block(np.zeros(3 * 16_000, np.int16), 0)
"""One window."""
VOICE = Block(synthetic_clip(6 * 16_000), 6_000)
"""Four windows of speech."""


class FakeSource:
    """A source that yields what the test plays."""

    name = id = "fake"
    capture: CaptureState = "ok"

    def __init__(self) -> None:
        self._blocks: queue.SimpleQueue[Block | None] = queue.SimpleQueue()
        self.dropped_blocks = 2
        self.reopened = 1
        self.closed = False

    def play(self, block: Block | None) -> None:
        """Let the device hear a block; None is the end of the clips."""
        self._blocks.put(block)

    def read(self) -> Block | None:
        """Wait for the next block."""
        return None if self.closed else self._blocks.get()

    def close(self) -> None:
        """End a read that waits."""
        self.closed = True
        self._blocks.put(None)


class World:
    """A runner in a thread of its own; everything around it is a fake."""

    def __init__(self, model: VerifiedModel, state_dir: Path) -> None:
        settings = DeviceSettings(name="Kitchen", state_dir=state_dir)
        self.commands = Commands(settings, Overrides(), model.bundle.folder)
        self.opened: list[FakeSource] = []
        self.failures = 0
        """How often opening fails before it succeeds."""
        self.lives: list[LiveState] = []
        self.recorder, self.session = Mock(spec=Recorder, generation=0), Mock(spec=Session)
        self.baseline = Baseline(state_dir, on=True, half_life_min=60)
        self.runner = self.make(self.lives.append)
        self._model = model
        self._thread: threading.Thread | None = None
        self._asked = 0

    def make(self, publish_live: Callable[[LiveState], None] | None) -> Runner:
        """Return a runner."""
        systemd, recorder, session = SystemdNotifier({}), cast("Recorder", self.recorder), cast("Session", self.session)
        return Runner(self.open, self.commands, recorder, session, systemd, Timings(), self.baseline, publish_live)

    def open(self, _source_id: str | None) -> FakeSource:
        """Open the next source."""
        if self.failures:
            self.failures -= 1
            raise SourceError("it is not there")
        self.opened.append(FakeSource())
        return self.opened[-1]

    def start(self) -> FakeSource:
        """Start with an open source and return it."""
        source = self.open(None)
        self._thread = threading.Thread(target=self.runner.run, args=(self._model, source), daemon=True)
        self._thread.start()
        return source

    def ask(self, name: CommandName, /, **what: object) -> None:
        """Send a command."""
        self._asked += 1
        self.commands.put(name, json.dumps({"v": 1, "transaction": str(self._asked)} | what).encode())

    def answered(self) -> None:
        """Wait until each command has been answered."""
        wait_until(lambda: self.session.answer.call_count == self._asked, "the commands are answered")

    def until_open(self, count: int) -> FakeSource:
        """Wait until this many sources were opened and return the latest, which is the only one that is open."""
        wait_until(lambda: len(self.opened) == count, f"{count} sources were opened")
        assert all(source.closed for source in self.opened[:-1])
        return self.opened[-1]

    @property
    def ended(self) -> bool:
        """Whether `run` has returned."""
        assert self._thread is not None
        return not self._thread.is_alive()

    def until_ended(self) -> None:
        """Wait until `run` has returned."""
        wait_until(lambda: self.ended, "the runner ends")


@pytest.fixture(scope="module")
def model() -> VerifiedModel:
    """Return the shipped model."""
    return load_verified(models.bundle.find(models.bundle.DEFAULT))


@pytest.fixture
def world(model: VerifiedModel, tmp_path: Path) -> Iterator[World]:
    """Return a world and stop its runner at the end."""
    world = World(model, tmp_path)
    yield world
    world.runner.stop()


def test_it_ends_with_the_clips(world: World) -> None:
    """The last minute is kept, and the source is closed."""
    source = world.start()

    source.play(SILENCE)
    source.play(None)
    world.until_ended()

    assert source.closed
    assert world.recorder.add.call_count == 1
    assert world.recorder.close_minute.call_count == 1


def test_stop_ends_it(world: World) -> None:
    """Whether it listens or has just begun."""
    source = world.start()

    world.runner.stop()
    world.until_ended()

    assert source.closed


def test_a_pause_closes_the_source_until_someone_resumes(world: World) -> None:
    """The counts of the closed source go on with the next one."""
    source = world.start()

    world.ask("pause")
    wait_until(lambda: world.runner.capture_health().state == "paused", "it is paused")
    wait_until(lambda: source.closed, "the source is closed")
    world.ask("resume")
    world.until_open(2)

    wait_until(lambda: world.runner.capture_health() == ("fake", "ok", 4, 2), "the counts of both sources are added up")


def test_the_status_says_what_is_in_force(world: World) -> None:
    """A gate or a model that a command changed is told, with the models to choose from."""
    world.start()

    world.ask("set", gate_dbfs=-40)
    world.ask("model", bundle="six-6")

    wanted = {"gate_dbfs": -40, "model": "six-6", "models": ("ang-hap-neu-9", "six-6"), "can_roll_back": True}
    statuses = world.session.set_status.call_args_list
    wait_until(lambda: statuses and statuses[-1].kwargs.items() >= wanted.items(), "the status says so")


def test_what_is_usual_here_is_forgotten_on_command(world: World) -> None:
    """Other commands leave it; it is learned from windows with speech alone."""
    source = world.start()
    source.play(VOICE)
    wait_until(lambda: learned(world) > 0, "the baseline has heard something")

    world.ask("set", gate_dbfs=-45)
    source = world.until_open(2)
    assert learned(world) > 0
    world.ask("set", forget_baseline=True)
    source = world.until_open(3)
    wait_until(lambda: learned(world) == 0, "the baseline is forgotten")

    source.play(SILENCE)
    source.play(None)
    world.until_ended()
    assert learned(world) == 0


def learned(world: World) -> int:
    """Return how many windows its baseline is worth."""
    health = world.baseline.health()
    return health.heard if health else 0


def test_a_pause_that_comes_before_the_first_window_closes_the_source(world: World) -> None:
    """The microphone is never open while the device says that it is paused."""
    world.ask("pause")
    world.commands.carry_out(world.session.answer)

    source = world.start()

    wait_until(lambda: source.closed, "the source is closed")
    assert not world.ended


def test_commands_that_cancel_each_other_do_not_end_it(world: World) -> None:
    """After pause and resume in quick succession the device listens again, and does not think that the clips ended."""
    world.start()

    for _ in range(20):
        world.ask("pause")
        world.answered()
        world.ask("resume")
        world.answered()

    wait_until(lambda: not world.opened[-1].closed, "it listens")
    assert not world.ended


def test_a_source_that_cannot_be_opened_again_is_tried_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Each failure is logged with the time of the next try."""
    world.start()
    world.failures = 1

    world.ask("set", gate_dbfs=-40)
    world.until_open(2)

    assert "it is not there; next try in " in caplog.text


def test_a_device_that_waits_for_its_microphone_obeys(world: World) -> None:
    """Stopping does not wait for the next try."""
    world.start()
    world.failures = 1_000

    world.ask("set", gate_dbfs=-40)
    wait_until(lambda: world.failures < 1_000, "it tries to open the source")
    world.runner.stop()
    world.until_ended()


@pytest.mark.slow
def test_each_window_is_told_to_home_automation_if_it_is_wanted(world: World) -> None:
    """What a window holds goes out as a live state; without anyone who wants it there is none."""
    source = world.start()
    source.play(SILENCE)
    source.play(None)
    world.until_ended()
    told = list(world.lives)

    world.runner = world.make(None)
    source = world.start()
    source.play(SILENCE)
    source.play(None)
    world.until_ended()

    assert [(live.state, live.top, live.scores, live.level_dbfs) for live in told] == [("silent", None, {}, -120.0)]
    assert world.lives == told
    assert world.recorder.add.call_count == 2
