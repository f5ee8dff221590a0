"""Which frames the speech gate takes for speech."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from device.audio.level import level_dbfs, mean_power
from device.inference.speech_gate import FRAME_SAMPLES, SpeechGate
from models.frontend import Samples
from models.runtime import synthetic_clip

VOICED = [frame for frame in synthetic_clip(24 * 16_000).reshape(-1, FRAME_SAMPLES) if level_dbfs(frame) > -25][:60]


def voice(dbfs: float) -> Samples:
    """Return 1.8 s of a voice without pauses, each frame at this level."""
    scaled = [frame * 10 ** ((dbfs - level_dbfs(frame)) / 20) for frame in VOICED]
    return np.rint(np.concatenate(scaled)).astype(np.int16)


def test_an_open_gate_closes_six_decibels_below_the_level_that_opens_it() -> None:
    """A level in between passes only after a louder one, so that the end of a word is not cut off."""
    gate = SpeechGate(-40)

    heard = [bool(gate.push(voice(dbfs)).speech.any()) for dbfs in (-43, -39, -43, -47, -43)]

    assert heard == [False, True, True, False, False]


def test_loud_noise_is_not_speech() -> None:
    """The voice activity detector keeps a steady hiss out, once it knows it."""
    hiss = np.rint(np.random.default_rng(1).normal(0, 1_000, 160_000)).astype(np.int16)

    assert SpeechGate(-60).push(hiss).speech[100:].mean() < 0.05


@settings(max_examples=25)
@given(st.integers(1, 5_000))
def test_frames_do_not_depend_on_the_block_size(size: int) -> None:
    """However the sound is cut, each whole frame has the same decision and power."""
    sound = np.concatenate((voice(-30), voice(-50)))[:-7]
    whole, cut = SpeechGate(-40).push(sound), SpeechGate(-40)

    pieces = [cut.push(sound[start : start + size]) for start in range(0, len(sound), size)]

    np.testing.assert_array_equal(np.concatenate([piece.speech for piece in pieces]), whole.speech)
    np.testing.assert_array_equal(np.concatenate([piece.powers for piece in pieces]), whole.powers)
    assert len(whole.powers) == len(sound) // FRAME_SAMPLES
    assert whole.powers[0] == mean_power(sound[:FRAME_SAMPLES])
