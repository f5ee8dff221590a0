"""Which frames the speech gate takes for speech."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.audio.level import level_dbfs, mean_power
from device.inference.noise_floor import FRAME_SAMPLES, NoiseFloor
from device.inference.speech_gate import SpeechGate
from models.frontend import Samples
from models.runtime import synthetic_clip

VOICED = [frame for frame in synthetic_clip(24 * 16_000).reshape(-1, FRAME_SAMPLES) if level_dbfs(frame) > -25][:60]


def voice(dbfs: float) -> Samples:
    """Return 1.8 s of a voice without pauses, each frame at this level."""
    scaled = [frame * 10 ** ((dbfs - level_dbfs(frame)) / 20) for frame in VOICED]
    return np.rint(np.concatenate(scaled)).astype(np.int16)


def test_an_open_gate_closes_six_decibels_below_the_level_that_opens_it() -> None:
    """A level in between passes only after a louder one, so that the end of a word is not cut off."""
    gate = SpeechGate(-40, NoiseFloor())

    heard = [bool(gate.push(voice(dbfs)).speech.any()) for dbfs in (-43, -39, -43, -47, -43)]

    assert heard == [False, True, True, False, False]


def test_loud_noise_is_not_speech() -> None:
    """The voice activity detector keeps a steady hiss out, once it knows it."""
    hiss = np.rint(np.random.default_rng(1).normal(0, 1_000, 160_000)).astype(np.int16)

    assert SpeechGate(-60, NoiseFloor()).push(hiss).speech[100:].mean() < 0.05


@pytest.mark.slow
@settings(max_examples=25)
@given(st.integers(1, 5_000), st.sampled_from([-40.0, None]))
def test_frames_do_not_depend_on_the_block_size(size: int, gate_dbfs: float | None) -> None:
    """However the sound is cut, each whole frame has the same decision and power."""
    sound = np.concatenate((voice(-60), voice(-30), voice(-50)))[:-7]
    whole, cut = SpeechGate(gate_dbfs, NoiseFloor()).push(sound), SpeechGate(gate_dbfs, NoiseFloor())

    pieces = [cut.push(sound[start : start + size]) for start in range(0, len(sound), size)]

    np.testing.assert_array_equal(np.concatenate([piece.speech for piece in pieces]), whole.speech)
    np.testing.assert_array_equal(np.concatenate([piece.powers for piece in pieces]), whole.powers)
    assert len(whole.powers) == len(sound) // FRAME_SAMPLES
    assert whole.powers[0] == mean_power(sound[:FRAME_SAMPLES])


def hiss(dbfs: float, seconds: float) -> Samples:
    """Return white noise of this level."""
    noise = np.random.default_rng(3).normal(0, 32_768 * 10 ** (dbfs / 20), round(seconds * 16_000))
    return np.rint(noise).astype(np.int16)


@pytest.mark.parametrize("floor_dbfs", [-90, -70, -40])
def test_a_gate_that_follows_the_noise_floor_hears_a_voice_at_any_gain(floor_dbfs: float) -> None:
    """A voice 30 dB above the noise is heard, and none of the noise, however quiet or loud the microphone is."""
    sound = hiss(floor_dbfs, 11.8)
    sound[160_000:] += voice(floor_dbfs + 30)

    speech = SpeechGate(None, NoiseFloor()).push(sound).speech

    assert speech[:333].mean() < 0.02
    assert speech[334:].mean() > 0.9


def test_a_gate_follows_a_fan_that_is_switched_on() -> None:
    """Steady noise opens it for twenty seconds at most."""
    rustling = np.concatenate((hiss(-70, 10), hiss(-40, 25)))

    speech = SpeechGate(None, NoiseFloor()).push(rustling).speech

    assert not speech[334 + 667 :].any()


def test_a_constant_offset_is_no_sound() -> None:
    """A sound card whose zero is at 1 % of full scale hears the same frames as a good one."""
    sound = hiss(-70, 11.8)
    sound[160_000:] += voice(-40)

    good = SpeechGate(-50, NoiseFloor()).push(sound)
    offset = SpeechGate(-50, NoiseFloor()).push(sound + np.int16(328))

    assert (good.speech == offset.speech).mean() > 0.98
    np.testing.assert_allclose(offset.powers, good.powers, rtol=0.02)
