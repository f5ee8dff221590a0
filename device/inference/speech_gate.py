"""Speech gate: which 30 ms frames are speech."""

import math
from typing import NamedTuple

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from device.audio.level import mean_power
from device.audio.source import SAMPLE_RATE_HZ
from device.inference.noise_floor import FRAME_SAMPLES, NoiseFloor, Powers
from models.frontend import Samples

OPENS_ABOVE_FLOOR_DB = 4.0
"""Frames of steady noise hardly ever stand so far above a low quantile of theirs; voices do, also in loud noise."""
LOWEST_DBFS = -85.0
"""A gate that follows the noise floor opens at this level at least: below, there are only the last bits."""
FOLLOWS_EVERY = 10
"""Frames from one look at the noise floor to the next."""
HYSTERESIS_DB = 6.0
"""An open gate at a fixed level closes this far below it."""
FOLLOWING_HYSTERESIS_DB = 2.0
"""The same of a gate that follows the noise floor, which is nearer to it."""
VAD_AGGRESSIVENESS = 2
"""WebRTC's scale from 0 (takes most for speech) to 3."""
VAD_FLOOR_DBFS = -60.0
"""WebRTC's detector overlooks what is quiet: it gets sound in steps of 6 dB louder, up to such a noise floor."""
MOST_DOUBLINGS = 5


class GatedFrames(NamedTuple):
    """Consecutive frames as the gate judged them."""

    speech: NDArray[np.bool_]
    """Shape (frames,)."""
    powers: Powers


class SpeechGate:
    """A level gate with hysteresis and WebRTC's voice activity detector; a frame is speech if both say so.

    The level follows the noise floor, so a microphone's gain does not matter and steady noise does not open the gate.
    It keeps out silence, hiss and rumble. It lets music pass, which WebRTC's detector takes for a voice and the voice
    detector does not.

    Args:
        open_dbfs: Level that opens the gate; None: one that follows the noise floor.
        noise_floor: What is known of the background; it learns from each frame.
    """

    def __init__(self, open_dbfs: float | None, noise_floor: NoiseFloor) -> None:
        self._follows = open_dbfs is None
        self._noise_floor = noise_floor
        self._is_open = False
        self._vad = webrtcvad.Vad(VAD_AGGRESSIVENESS)
        self._gain = 1
        self._frames = 0
        self._pending: Samples = np.empty(0, np.int16)
        self._set_level(LOWEST_DBFS if open_dbfs is None else open_dbfs)

    def push(self, samples: Samples) -> GatedFrames:
        """Append samples and return the frames that they complete."""
        pending = np.concatenate((self._pending, samples))
        count = len(pending) // FRAME_SAMPLES
        frames = pending[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES)
        self._pending = pending[count * FRAME_SAMPLES :]
        powers = mean_power(frames)
        speech = np.empty(count, np.bool_)
        start = 0
        while start < count:
            # The steps are counted from the first frame, so that it does not matter how the sound is cut into blocks.
            end = min(count, start + FOLLOWS_EVERY - self._frames % FOLLOWS_EVERY)
            if self._frames % FOLLOWS_EVERY == 0:
                self._follow(powers[start : start + 1])
                self._noise_floor.push(powers[start + 1 : end])
            else:
                self._noise_floor.push(powers[start:end])
            loud = _saturated(frames[start:end], self._gain)
            speech[start:end] = [
                self._is_speech(frame, power) for frame, power in zip(loud, powers[start:end].tolist(), strict=True)
            ]
            self._frames += end - start
            start = end
        return GatedFrames(speech, powers)

    def _follow(self, first: Powers) -> None:
        """Set the level and the detector's gain by the noise floor, with this frame."""
        self._noise_floor.push(first)
        floor = self._noise_floor.power
        if floor is None:
            return
        floor_dbfs = 10 * math.log10(floor)
        self._gain = 1 << min(max(int((VAD_FLOOR_DBFS - floor_dbfs) / 6), 0), MOST_DOUBLINGS)
        if self._follows:
            self._set_level(max(floor_dbfs + OPENS_ABOVE_FLOOR_DB, LOWEST_DBFS))

    def _set_level(self, open_dbfs: float) -> None:
        hysteresis_db = FOLLOWING_HYSTERESIS_DB if self._follows else HYSTERESIS_DB
        self._open_power = 10 ** (open_dbfs / 10)
        self._close_power = 10 ** ((open_dbfs - hysteresis_db) / 10)

    def _is_speech(self, frame: Samples, power: float) -> bool:
        self._is_open = power >= (self._close_power if self._is_open else self._open_power)
        # The detector adapts to the noise it hears, so it must hear every frame.
        is_voiced: bool = self._vad.is_speech(frame.tobytes(), SAMPLE_RATE_HZ)
        return self._is_open and is_voiced


def _saturated(frames: Samples, gain: int) -> Samples:
    """Return frames this much louder, cut off at full scale."""
    if gain == 1:
        return frames
    return np.clip(frames.astype(np.int32) * gain, -32_768, 32_767).astype(np.int16)
