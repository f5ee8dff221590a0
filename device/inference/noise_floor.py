"""How far speech stands above the background: the background is what the quietest recent frames have."""

import math

import numpy as np

from device.inference.speech_gate import FRAME_MS, Powers

MEMORY_S = 20.0
"""Long enough to hold pauses of someone who talks on, short enough to follow a fan that is switched on."""
QUANTILE = 0.1
"""Low enough that even someone who talks without a stop pauses for so much of the time, in frames of 30 ms."""
FRAMES = int(MEMORY_S * 1000 / FRAME_MS)
LOWEST_DB, HIGHEST_DB = 0.0, 120.0


class NoiseFloor:
    """Tracks the background's power without knowing what is speech.

    A low quantile of the frames' powers over some seconds, as in quantile-based noise estimation (Stahl, Fischer and
    Bippus, ICASSP 2000). Unlike a minimum (Martin 2001, Minimum Statistics) it does not follow a single dropout. For
    a steady noise it reads 0.4 dB too low. Frames of exact zeros come from a muted microphone, not from a quiet room,
    and do not count.
    """

    def __init__(self) -> None:
        self._powers: Powers = np.empty(0)

    def push(self, powers: Powers) -> None:
        """Take the powers of the next frames, relative to full scale."""
        self._powers = np.concatenate((self._powers, powers[powers > 0]))[-FRAMES:]

    def snr_db(self, speech: Powers) -> float:
        """Return the mean power of the speech frames over the background's, dB, 0 to 120."""
        if len(self._powers) == 0:
            return LOWEST_DB
        rank = int(QUANTILE * len(self._powers))
        ratio = float(speech.mean()) / float(np.partition(self._powers, rank)[rank])
        return min(max(10 * math.log10(ratio), LOWEST_DB), HIGHEST_DB) if ratio > 0 else LOWEST_DB
