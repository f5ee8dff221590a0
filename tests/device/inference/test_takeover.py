"""One emotion that takes over for an hour is told, and no normal day is."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

import models.bundle
from device.inference import baseline as module
from device.inference.baseline import Baseline, Origin
from models.baseline import shifted

BUNDLE = models.bundle.load(models.bundle.find(models.bundle.DEFAULT)).manifest
LABELS = BUNDLE.labels
REFERENCE = BUNDLE.baseline
ORIGIN = Origin(model="a" * 64, source="USB", generation=1, forgotten=0)
ROOM = np.array([1.2, 0.5, -1.7])
"""How far this room moves the logarithms: without a baseline nearly all of it is angry."""
NORMAL = (0.15, 0.15, 0.7)
ANGRY = (0.9, 0.05, 0.05)


class Room:
    """A device's baseline in a room, minute after minute.

    Args:
        baseline: Its baseline.
        monkeypatch: Sets its clock.
    """

    def __init__(self, baseline: Baseline, monkeypatch: pytest.MonkeyPatch) -> None:
        self.baseline = baseline
        self.now_s = 0.0
        self.rng = np.random.default_rng(11)
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now_s)

    def hear(self, minutes: int, mix: Sequence[float], windows_a_minute: int = 20) -> Iterator[str | None]:
        """Hear voices with this mix of emotions; yield what has taken over after each minute."""
        assert REFERENCE is not None
        for _ in range(minutes):
            for _ in range(windows_a_minute):
                self.now_s += 60 / windows_a_minute
                label = self.rng.choice(3, p=mix)
                logs = np.array(REFERENCE.logs[label]) + self.rng.normal(0, 1.0, 3)
                self.baseline.adjust(shifted(np.exp(logs) / np.exp(logs).sum(), ROOM))
            if windows_a_minute == 0:
                self.now_s += 60
            health = self.baseline.health()
            assert health is not None
            yield health.taken_over


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    """Return a room of which nothing is known."""
    baseline = Baseline(tmp_path, on=True, half_life_min=30)
    baseline.use(BUNDLE, ORIGIN)
    return Room(baseline, monkeypatch)


def test_an_hour_of_anger_is_told_although_the_baseline_follows_it(room: Room) -> None:
    """It is told within the hour, stays while it lasts, and ends when the mix is as before."""
    assert set(room.hear(180, NORMAL)) == {None}

    angry = list(room.hear(60, ANGRY))
    after = list(room.hear(120, NORMAL))

    assert "ANG" not in angry[:25]
    assert angry[-1] == "ANG"
    assert set(after[60:]) == {None}


@pytest.mark.parametrize("neutral", [0.5, 0.7, 0.9])
def test_a_normal_day_raises_none(room: Room, neutral: float) -> None:
    """Sixteen hours of talk, pauses, a quarrel and a party of half an hour each raise nothing, whatever the mix is."""
    mix = ((1 - neutral) / 2, (1 - neutral) / 2, neutral)
    told: set[str | None] = set()
    for _ in range(4):
        told |= {*room.hear(100, mix, 8), *room.hear(30, ANGRY, 2), *room.hear(20, mix, 30), *room.hear(60, mix, 0)}
        told |= {*room.hear(15, (0.05, 0.9, 0.05), 30), *room.hear(15, mix, 15)}

    assert told == {None}


def test_nothing_is_told_before_what_is_usual_is_known(room: Room) -> None:
    """A device that has heard only anger since its start knows nothing else."""
    assert set(room.hear(70, ANGRY)) == {None}


def test_what_is_kept_of_yesterday_judges_at_once(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that starts again has the baseline from before, and an erasure ends what it has counted."""
    assert set(room.hear(180, NORMAL)) == {None}
    room.baseline.save()
    again = Baseline(tmp_path, on=True, half_life_min=30)
    again.use(BUNDLE, ORIGIN)
    later = Room(again, monkeypatch)

    assert list(later.hear(50, ANGRY))[-1] == "ANG"
    again.forget(2)

    assert set(later.hear(5, ANGRY)) == {None}
    assert msgspec.json.decode(msgspec.json.encode(again.health()))["taken_over"] is None


def test_neutral_speech_never_takes_over(room: Room) -> None:
    """An hour of even talk after a lively one is nothing to warn of."""
    assert set(room.hear(180, (0.3, 0.3, 0.4))) == {None}

    assert set(room.hear(60, (0.02, 0.02, 0.96))) == {None}
