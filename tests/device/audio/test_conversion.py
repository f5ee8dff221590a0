"""Conversion from a card's format to 16 kHz mono."""

import numpy as np
import pytest
import soxr

from device.audio.conversion import CaptureFormat, Resampler, choose_format
from models.runtime import synthetic_clip


@pytest.mark.parametrize(
    ("supported", "chosen"),
    [
        ({(16_000, 1), (48_000, 1)}, (16_000, 1)),
        ({(16_000, 2), (96_000, 1)}, (16_000, 2)),
        ({(96_000, 2), (48_000, 1)}, (96_000, 2)),
        ({(96_000, 6), (48_000, 1)}, (96_000, 6)),
        ({(44_100, 1), (32_000, 1)}, (44_100, 1)),
        ({(48_000, 8)}, None),
    ],
    ids=["16 kHz mono", "16 kHz stereo", "native rate", "all channels", "common rate", "more channels than there are"],
)
def test_the_format_that_needs_least_conversion_is_chosen(
    supported: set[tuple[int, int]], chosen: tuple[int, int] | None
) -> None:
    """16 kHz before the native rate before other common ones, and few channels before many."""
    assert choose_format(96_000, 6, None, lambda candidate: tuple(candidate) in supported) == chosen


def test_a_format_says_what_is_done_to_it() -> None:
    """The log shows how the sound is converted."""
    assert CaptureFormat(16_000, 1).describe(None) == "16000 Hz, 1 channel, int16"
    assert (
        CaptureFormat(48_000, 2).describe(None)
        == "48000 Hz, 2 channels, int16, mixed to mono by their mean, resampled to 16000 Hz"
    )
    assert CaptureFormat(16_000, 6).describe(1) == "16000 Hz, 6 channels, int16, channel 1 heard"


@pytest.mark.parametrize(
    ("channel", "supported", "chosen"),
    [
        (1, {(16_000, 1), (16_000, 2), (16_000, 6)}, (16_000, 2)),
        (2, {(16_000, 1), (16_000, 2), (16_000, 6)}, (16_000, 2)),
        (3, {(16_000, 1), (16_000, 2), (16_000, 6)}, (16_000, 6)),
        (1, {(48_000, 6)}, (48_000, 6)),
        (1, {(16_000, 1)}, None),
    ],
)
def test_one_channel_is_taken_from_several(
    channel: int, supported: set[tuple[int, int]], chosen: tuple[int, int] | None
) -> None:
    """A sound server that is asked for one channel mixes them all, so more are asked for."""
    assert choose_format(96_000, 6, channel, lambda candidate: tuple(candidate) in supported) == chosen


def test_the_only_channel_is_asked_for_alone() -> None:
    """A microphone with one channel has nothing to mix."""
    assert choose_format(16_000, 1, 1, lambda candidate: candidate == (16_000, 1)) == (16_000, 1)


@pytest.mark.parametrize("size", [1, 480, 4_801])
def test_blocks_of_any_size_are_resampled_like_the_whole(size: int) -> None:
    """The samples that are missing at the end are the delay that the resampler reports."""
    sound = synthetic_clip(48_000)
    resampler = Resampler(48_000)

    heard = np.concatenate([resampler.push(sound[start : start + size]) for start in range(0, len(sound), size)])

    np.testing.assert_allclose(heard, soxr.resample(sound, 48_000, 16_000)[: len(heard)], atol=2)
    assert 16_000 - len(heard) == pytest.approx(resampler.delay_ms * 16, abs=2)


def test_16_khz_is_not_resampled() -> None:
    """Each sample passes at once."""
    sound = synthetic_clip(1_600)
    resampler = Resampler(16_000)

    assert resampler.push(sound) is sound
    assert resampler.delay_ms == 0
