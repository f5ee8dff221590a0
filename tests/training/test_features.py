"""Training frames with room for every placement of a window, and windows to be scored."""

from pathlib import Path

import numpy as np
import pytest

from training import corpora, features, recipe
from training.backgrounds import BACKGROUNDS

PLAN = recipe.load("tiny")
FLOOR_DB = -100


def test_a_bank_gives_the_frames_of_each_clip_amid_silence(recordings_dir: Path) -> None:
    """A window shows the clip's own frames where the clip is, and silence before, behind and in it where it is not."""
    clips = corpora.read_clips(recordings_dir, PLAN.labels)[:2]
    bank = features.bank(clips, PLAN.front_end)
    (own,) = (PLAN.front_end.log_mel(corpora.read_audio(clip, 16_000)) for clip in clips[1:])

    windows, beside = bank.windows(np.array([0, 1]), np.array([-200, -10]), 160)

    assert windows.shape == (2, 160, 64)
    assert (windows[0] == FLOOR_DB).all()
    assert beside[0].all()
    inside = 10 + bank.edge
    shown = ~beside[1]
    assert shown.argmax() == inside
    np.testing.assert_allclose(windows[1, shown], own[: shown.sum()], atol=0.05)
    assert (windows[1, :10] == FLOOR_DB).all()
    assert bank.lengths(np.array([1]))[0] == len(own) + 2 * bank.edge


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
