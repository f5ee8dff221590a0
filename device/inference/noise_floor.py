"""Noise floor: the power of the background, and how far speech stands above it."""

import math

import numpy as np

from device.inference.speech_gate import FRAME_MS, Powers

MEMORY_S = 20.0
"""Long enough to hold the pauses of someone who talks on, short enough to follow a fan that is switched on."""
QUANTILE = 0.1
"""Even someone who talks without a stop pauses in a tenth of the frames of 30 ms."""
FRAMES = int(MEMORY_S * 1000 / FRAME_MS)
LOWEST_DB, HIGHEST_DB = 0.0, 120.0


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

    def snr_db(self, speech: Powers) -> float:
        """Return the mean power of speech frames over the noise floor, 0 to 120 dB; 0 before the first frame."""
        if len(self._powers) == 0:
            return LOWEST_DB
        rank = int(QUANTILE * len(self._powers))
        ratio = float(speech.mean()) / float(np.partition(self._powers, rank)[rank])
        return min(max(10 * math.log10(ratio), LOWEST_DB), HIGHEST_DB) if ratio > 0 else LOWEST_DB
