"""One channel or the mean of all, and a mean in which sound is lost."""

import numpy as np
import pytest

from common import channels
from common.channels import ChannelMeter

RATE_HZ = 16_000
SPEECH = np.rint(np.random.default_rng(0).normal(0, 3_000, RATE_HZ)).astype(np.int16)


def fault(*sound: np.ndarray, channel: int | None = None) -> str:
    """Return what is said of some channels, each of shape (samples,)."""
    meter = ChannelMeter(channel)
    meter.push(np.stack(sound, axis=1), RATE_HZ)
    meter.end(RATE_HZ)
    return f"{meter.fault}; {meter.todo}" if meter.fault else ""


@pytest.mark.parametrize(("setting", "meant"), [("mean", None), ("1", 1), ("64", 64)])
def test_the_setting_means_the_mean_or_a_number(setting: str, meant: int | None) -> None:
    """Channels are counted from 1, as people count."""
    assert channels.parse(setting) == meant


@pytest.mark.parametrize("setting", ["", "0", "-1", "65", "left", "1.5", "²", "٣"])
def test_another_setting_is_refused(setting: str) -> None:
    """The sentence names the value and what to use."""
    with pytest.raises(ValueError, match=f"channel is '{setting}'; use mean, or a number from 1 to 64"):
        channels.parse(setting)


def test_a_missing_channel_is_told_with_those_that_there_are() -> None:
    """The sentence says what to set."""
    assert channels.missing(3, 2) == "has 2 channels and no channel 3; set channel to 1 to 2, or to mean"
    assert channels.missing(2, 1) == "has 1 channel and no channel 2; set channel to 1 or mean"
    assert channels.missing(2, 2) == channels.missing(None, 1) == ""


def test_channels_are_mixed_by_their_mean() -> None:
    """A capsule on one side only is heard at half its level, one channel as it is."""
    assert channels.to_mono(np.array([[100, 0], [-7, 8]], np.int16), None).tolist() == [50, 0]
    assert channels.to_mono(np.array([[100], [-7]], np.int16), None).tolist() == [100, -7]
    assert channels.to_mono(np.array([[0.5, 0.25]], np.float32), None).tolist() == [0.375]


def test_one_channel_is_taken_as_it_is() -> None:
    """The others do not matter."""
    assert channels.to_mono(np.array([[100, 0], [-7, 8]], np.int16), 2).tolist() == [0, 8]


@pytest.mark.parametrize("scale", [np.int16, np.float32])
def test_each_channel_is_measured(scale: type) -> None:
    """Levels are relative to full scale, whatever the samples are."""
    meter = ChannelMeter(1)
    sound = np.tile(np.array([[16_384, 0]]), (100, 1))

    for _ in range(3):
        meter.push((sound / 32_768).astype(np.float32) if scale is np.float32 else sound.astype(np.int16), RATE_HZ)

    assert meter.levels_dbfs == pytest.approx((-6.02, -120), abs=0.01)


def test_two_channels_out_of_phase_are_noticed() -> None:
    """One wired the wrong way round silences the mean."""
    noise = np.random.default_rng(1).normal(0, 50, RATE_HZ).astype(np.int16)

    assert fault(SPEECH, noise - SPEECH).startswith("has two channels out of phase: their mean is 42 dB quieter")
    assert fault(SPEECH, -SPEECH).endswith("dB quieter than channel 1; set channel = 1")


def test_an_array_whose_mean_loses_its_processed_channel_is_noticed() -> None:
    """A microphone array with loud processed sound, faint capsules and a silent loopback should not be averaged."""
    raw = [np.roll(SPEECH, 100 * delay) // 32 for delay in range(1, 5)]

    told = fault(SPEECH, *raw, np.zeros_like(SPEECH))

    assert told.startswith("has 6 channels (-21, -51, -51, -51, -51, -120 dBFS): their mean is 16 dB quieter")
    assert "set channel = 1, or another one" in told


@pytest.mark.parametrize(
    "sound",
    [
        (SPEECH,),
        (SPEECH, SPEECH),
        (SPEECH, np.zeros_like(SPEECH)),
        (SPEECH, np.roll(SPEECH, 5_000)),
        (SPEECH // 300, -(SPEECH // 300)),
    ],
    ids=["mono", "equal", "one capsule", "independent", "too faint to judge"],
)
def test_an_ordinary_mean_is_not_complained_about(sound: tuple[np.ndarray, ...]) -> None:
    """One live capsule of two costs 6 dB, as is known."""
    assert fault(*sound) == ""


def test_a_chosen_channel_is_not_complained_about() -> None:
    """Who chose a channel hears no mean."""
    assert fault(SPEECH, -SPEECH, channel=1) == ""


def test_a_second_of_audible_sound_is_judged_together() -> None:
    """A short passage out of phase, as in music, is no fault of the wiring."""
    meter = ChannelMeter(None)
    meter.push(np.stack((SPEECH[:4_000], -SPEECH[:4_000]), axis=1), RATE_HZ)
    meter.push(np.stack((SPEECH, SPEECH), axis=1), RATE_HZ)

    assert meter.fault == ""


def test_a_short_passage_at_the_end_is_not_judged() -> None:
    """A tenth of a second tells nothing of the wiring."""
    meter = ChannelMeter(None)
    meter.push(np.stack((SPEECH[:1_600], -SPEECH[:1_600]), axis=1), RATE_HZ)
    meter.end(RATE_HZ)

    assert meter.fault == ""
