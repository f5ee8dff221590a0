"""Noise floor: the power of the background, and how far speech stands above it."""

import math

import numpy as np
from numpy.typing import NDArray

from device.audio.source import SAMPLE_RATE_HZ

FRAME_MS = 30
FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000
MEMORY_S = 20.0
"""Long enough to hold the pauses of someone who talks on, short enough to follow a fan that is switched on."""
QUANTILE = 0.1
"""Even someone who talks without a stop pauses in a tenth of the frames of 30 ms."""
FRAMES = int(MEMORY_S * 1000 / FRAME_MS)
LOWEST_DB, HIGHEST_DB = 0.0, 120.0

Powers = NDArray[np.float64]
"""Mean power of each frame, 0 to 1 (full scale), shape (frames,)."""


class NoiseFloor:
    """Tracks the power of the background without knowing what is speech.

    It is a low quantile of the powers of recent frames, as in quantile-based noise estimation (Stahl, Fischer and
    Bippus, ICASSP 2000). Unlike a minimum (Martin 2001, Minimum Statistics) it does not follow a single dropout.
    It reads steady noise 0.4 dB too low. Frames of exact zeros come from a muted microphone, not from a quiet room, so
    they do not count.
    """

    def __init__(self) -> None:
        self._powers: Powers = np.empty(0)

    def push(self, powers: Powers) -> None:
        """Append the powers of frames."""
        self._powers = np.concatenate((self._powers, powers[powers > 0]))[-FRAMES:]

    @property
    def power(self) -> float | None:
        """Power of the background, 0 to 1; None before the first frame."""
        if len(self._powers) == 0:
            return None
        rank = int(QUANTILE * len(self._powers))
        return float(np.partition(self._powers, rank)[rank])

    def snr_db(self, speech: Powers) -> float:
        """Return the mean power of speech frames over the noise floor, 0 to 120 dB; 0 before the first frame."""
        floor = self.power
        if floor is None:
            return LOWEST_DB
        ratio = float(speech.mean()) / floor
        return min(max(10 * math.log10(ratio), LOWEST_DB), HIGHEST_DB) if ratio > 0 else LOWEST_DB
