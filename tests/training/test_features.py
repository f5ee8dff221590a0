"""Training frames with room for every placement of a window, and windows to be scored."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from training import corpora, features, recipe
from training.backgrounds import BACKGROUNDS

PLAN = recipe.load("tiny")
FLOOR_DB = -100


def test_every_training_window_holds_a_second_of_its_clip(recordings_dir: Path) -> None:
    """The first and the last window of a clip's training frames hold a second of it, and silence stands beside it."""
    margin = features.margin_frames(PLAN)
    second = PLAN.front_end.frames_in(16_000)

    for frames in features.training_frames(corpora.read_clips(recordings_dir, PLAN.labels), PLAN):
        of_clip = np.zeros(len(frames), bool)
        of_clip[margin : len(frames) - margin] = True
        assert of_clip[: PLAN.window_frames].sum() >= second - 1
        assert of_clip[-PLAN.window_frames :].sum() >= second - 1
        assert (frames[of_clip] > FLOOR_DB).all()
        assert (frames[: margin - 4] == FLOOR_DB).all()
        assert (frames[4 - margin :] == FLOOR_DB).all()


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
    plan = msgspec.structs.replace(PLAN, window_ms=500)

    (normal,), (fast,) = features.training_frames(clips, plan), features.training_frames(clips, plan, 1.25)

    assert len(fast) / len(normal) == pytest.approx(0.8, abs=0.02)


def test_classes_follow_the_recipes_order(recordings_dir: Path) -> None:
    """A clip's class is the place of its label in the recipe."""
    clips = corpora.read_clips(recordings_dir, PLAN.labels)[:3]

    assert features.targets(clips, ("NEU", "ANG", "HAP")).tolist() == [1, 2, 0]
