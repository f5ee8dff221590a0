"""Speech gate: which 30 ms frames are speech."""

from typing import NamedTuple

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from device.audio.level import mean_power
from device.audio.source import SAMPLE_RATE_HZ
from models.frontend import Samples

FRAME_MS = 30
FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000
HYSTERESIS_DB = 6.0
"""An open gate closes this far below the level that opens it."""
VAD_AGGRESSIVENESS = 2
"""WebRTC's scale from 0 (takes most for speech) to 3."""

Powers = NDArray[np.float64]
"""Mean power of each frame, 0 to 1 (full scale), shape (frames,)."""


class GatedFrames(NamedTuple):
    """Consecutive frames as the gate judged them."""

    speech: NDArray[np.bool_]
    """Shape (frames,)."""
    powers: Powers


class SpeechGate:
    """A level gate with hysteresis and WebRTC's voice activity detector; a frame is speech if both say so.

    It keeps out silence, hiss and rumble. It lets music, television and a steady tone pass, which WebRTC's detector
    takes for a voice.

    Args:
        open_dbfs: Level that opens the gate.
    """

    def __init__(self, open_dbfs: float) -> None:
        self._open_power = 10 ** (open_dbfs / 10)
        self._close_power = 10 ** ((open_dbfs - HYSTERESIS_DB) / 10)
        self._is_open = False
        self._vad = webrtcvad.Vad(VAD_AGGRESSIVENESS)
        self._pending: Samples = np.empty(0, np.int16)

    def push(self, samples: Samples) -> GatedFrames:
        """Append samples and return the frames that they complete."""
        pending = np.concatenate((self._pending, samples))
        count = len(pending) // FRAME_SAMPLES
        frames = pending[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES)
        self._pending = pending[count * FRAME_SAMPLES :]
        powers = mean_power(frames)
        speech = [self._is_speech(frame, power) for frame, power in zip(frames, powers.tolist(), strict=True)]
        return GatedFrames(np.array(speech, dtype=np.bool_), powers)

    def _is_speech(self, frame: Samples, power: float) -> bool:
        self._is_open = power >= (self._close_power if self._is_open else self._open_power)
        # The detector adapts to the noise it hears, so it must hear every frame.
        is_voiced: bool = self._vad.is_speech(frame.tobytes(), SAMPLE_RATE_HZ)
        return self._is_open and is_voiced
