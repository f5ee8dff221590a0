"""The speech gate: which 30 ms frames are speech."""

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
"""Once open, the gate closes only this far below the level that opened it."""
VAD_AGGRESSIVENESS = 2
"""WebRTC's scale from 0 (hears speech easily) to 3."""

Powers = NDArray[np.float64]
"""Mean square of each frame relative to full scale, shape (frames,)."""


class Gated(NamedTuple):
    """What is known of some consecutive frames."""

    speech: NDArray[np.bool_]
    powers: Powers


class SpeechGate:
    """A level with hysteresis, and WebRTC's voice activity detector; a frame is speech when both say so.

    It keeps out silence, hiss and rumble. It does not keep out music, other people's television or a steady tone,
    which WebRTC's detector takes for a voice.
    """

    def __init__(self, open_dbfs: float) -> None:
        self._opens_at = 10 ** (open_dbfs / 10)
        self._closes_below = 10 ** ((open_dbfs - HYSTERESIS_DB) / 10)
        self._open = False
        self._vad = webrtcvad.Vad(VAD_AGGRESSIVENESS)
        self._pending: Samples = np.empty(0, np.int16)

    def push(self, samples: Samples) -> Gated:
        """Take the next samples and return decision and power of each frame that they complete."""
        pending = np.concatenate((self._pending, samples))
        count = len(pending) // FRAME_SAMPLES
        frames = pending[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES)
        self._pending = pending[count * FRAME_SAMPLES :]
        found = mean_power(frames)
        speech = [self._is_speech(frame, power) for frame, power in zip(frames, found.tolist(), strict=True)]
        return Gated(np.array(speech, dtype=np.bool_), found)

    def _is_speech(self, frame: Samples, power: float) -> bool:
        self._open = power >= (self._closes_below if self._open else self._opens_at)
        # The detector adapts to the noise it hears, so it must hear every frame.
        voiced: bool = self._vad.is_speech(frame.tobytes(), SAMPLE_RATE_HZ)
        return self._open and voiced
