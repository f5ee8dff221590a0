"""Training frames with room for every placement of a window, and windows to be scored."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.frontend import FrontEnd
from training import corpora, features, recipe
from training.backgrounds import BACKGROUNDS
from training.corpora import Clip
from training.features import Bank, FrameCache

PLAN = recipe.load("tiny")
FLOOR_DB = -100


def test_a_bank_gives_the_frames_of_each_clip_amid_silence(recordings_dir: Path) -> None:
    """A window shows the clip's own frames where the clip is, and silence before, behind and in it where it is not."""
    clips = corpora.read_clips(recordings_dir, PLAN.labels)[:2]
    bank = features.bank(clips, PLAN.front_end)
    (own,) = (PLAN.front_end.log_mel(corpora.read_audio(clip, 16_000)) for clip in clips[1:])

    windows, padding = bank.windows(np.array([0, 1]), np.array([-200, -10]), 160)

    assert windows.shape == (2, 160, 64)
    assert (windows[0] == FLOOR_DB).all()
    assert padding[0].all()
    inside = 10 + bank.edge
    shown = ~padding[1]
    assert shown.argmax() == inside
    np.testing.assert_allclose(windows[1, shown], own[: shown.sum()], atol=0.05)
    assert (windows[1, :10] == FLOOR_DB).all()
    assert bank.lengths(np.array([1]))[0] == len(own) + 2 * bank.edge


def test_frames_are_computed_once_for_all_trainings(
    recordings_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second training reads what the first one has heard; other clips, speeds or bands are heard anew."""
    clips = corpora.read_clips(recordings_dir, PLAN.labels)
    first = FrameCache(clips, PLAN.front_end, tmp_path).bank(1.1)
    heard: list[float] = []

    def counting(clips: Sequence[Clip], front_end: FrontEnd, speed: float) -> Bank:
        heard.append(speed)
        return bank(clips, front_end, speed)

    bank = features.bank
    monkeypatch.setattr(features, "bank", counting)
    again = FrameCache(clips, PLAN.front_end, tmp_path).bank(1.1)

    assert heard == []
    assert again.edge == first.edge
    np.testing.assert_array_equal(again.frames, first.frames)
    np.testing.assert_array_equal(again.begins, first.begins)

    bands = msgspec.structs.replace(PLAN.front_end, n_mels=40)
    FrameCache(clips, PLAN.front_end, tmp_path).bank(0.9)
    FrameCache(clips[1:], PLAN.front_end, tmp_path).bank(1.1)
    FrameCache(clips[::-1], PLAN.front_end, tmp_path).bank(1.1)
    assert FrameCache(clips, bands, tmp_path).bank(1.1).frames.shape[1] == 40
    assert heard == [0.9, 1.1, 1.1, 1.1]


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_windows_are_the_same_each_time(recordings_dir: Path, name: str) -> None:
    """The background beside a clip is seeded, so a score can be repeated exactly."""
    clips = corpora.read_clips(recordings_dir, PLAN.labels)[:3]

    windows = features.centred_windows(clips, PLAN, BACKGROUNDS[name])

    assert {window.shape for window in windows} == {(147, 64)}
    np.testing.assert_array_equal(windows, features.centred_windows(clips, PLAN, BACKGROUNDS[name]))


def test_speed_shortens_the_clip(recordings_dir: Path) -> None:
    """A clip at speed 1.25 is heard in four fifths of its time."""
    clips = corpora.read_clips(recordings_dir, PLAN.labels)[:1]

    normal, fast = (features.bank(clips, PLAN.front_end, speed).lengths(np.array([0]))[0] for speed in (1.0, 1.25))

    assert fast / normal == pytest.approx(0.8, abs=0.02)


def test_classes_follow_the_recipes_order(recordings_dir: Path) -> None:
    """A clip's class is the place of its label in the recipe."""
    clips = corpora.read_clips(recordings_dir, PLAN.labels)[:3]

    assert features.targets(clips, ("NEU", "ANG", "HAP")).tolist() == [1, 2, 0]
