"""A window around each clip, amid noise like the clip's own and never digital silence."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.runtime import synthetic_clip
from training import corpora, features, recipe

PLAN = recipe.load("tiny")


@pytest.mark.parametrize("seconds", [0.5, 1.4, 2.9, 3.0, 5.0])
def test_clip_can_stand_at_both_ends_of_the_window(seconds: float) -> None:
    """A padded clip has room for every placement of the window that keeps the clip in it, and the clip unchanged."""
    clip = synthetic_clip(int(seconds * 16_000))

    padded = features.pad(clip, 48_000, np.random.default_rng(1))

    beside = (len(padded) - len(clip)) // 2
    assert beside >= 48_000 - len(clip)
    np.testing.assert_array_equal(padded[beside:-beside], clip)


def test_background_has_the_level_and_colour_of_the_clips_own() -> None:
    """Noise made from a clip is as loud as the clip's quietest parts, in low and high frequencies alike."""
    rng = np.random.default_rng(3)
    hiss = np.convolve(rng.normal(0, 100, 64_001), [0.5, 0.5], "valid")
    voice = np.where(np.arange(64_000) % 16_000 < 8_000, 5_000 * np.sin(np.arange(64_000) / 5), 0)
    clip = np.rint(hiss + voice).astype(np.int16)

    noise = features.background(clip, 32_000, rng)

    for band in (slice(100, 4_000), slice(12_000, 15_900)):
        expected = np.abs(np.fft.rfft(hiss[:32_000]))[band].std()
        assert np.abs(np.fft.rfft(noise))[band].std() == pytest.approx(expected, rel=0.25)


def test_background_of_silence_is_silence() -> None:
    """A clip without any sound has no background to imitate."""
    assert not features.background(np.zeros(8_000, np.int16), 1_000, np.random.default_rng(0)).any()


def test_padding_is_never_digital_silence(recordings_dir: Path) -> None:
    """No frame of a padded clip is at the floor of the front end."""
    clips = corpora.read_clips(recordings_dir, PLAN.labels)

    for frames in features.padded_frames(clips, PLAN):
        assert frames.min() > -100
        assert len(frames) >= PLAN.window_frames


def test_features_are_the_same_each_time(recordings_dir: Path) -> None:
    """The noise beside a clip is seeded, so a score can be repeated exactly."""
    clips = corpora.read_clips(recordings_dir, PLAN.labels)[:3]

    for one, other in zip(features.padded_frames(clips, PLAN), features.padded_frames(clips, PLAN), strict=True):
        np.testing.assert_array_equal(one, other)


def test_speed_shortens_the_clip(recordings_dir: Path) -> None:
    """A clip at speed 1.25 is heard in four fifths of its time."""
    clips = corpora.read_clips(recordings_dir, PLAN.labels)[:1]
    plan = msgspec.structs.replace(PLAN, window_ms=500)

    (normal,), (fast,) = features.padded_frames(clips, plan), features.padded_frames(clips, plan, 1.25)

    margin = 2 * features.MARGIN_S * 50
    assert (len(fast) - margin) / (len(normal) - margin) == pytest.approx(0.8, abs=0.02)


def test_middle_window_is_centred() -> None:
    """The window that is scored leaves as many frames before it as after it."""
    frames = np.arange(10, dtype=np.float32)[:, None]

    assert features.middle(frames, 4)[:, 0].tolist() == [3, 4, 5, 6]


def test_classes_follow_the_recipes_order(recordings_dir: Path) -> None:
    """A clip's class is the place of its label in the recipe."""
    clips = corpora.read_clips(recordings_dir, PLAN.labels)[:3]

    assert features.targets(clips, ("NEU", "ANG", "HAP")).tolist() == [1, 2, 0]
