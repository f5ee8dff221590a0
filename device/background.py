"""How far speech stands above the background: the background is what the quietest recent frames have."""

from collections import deque

import numpy as np

from device.gate import FRAME_MS, Powers

MEMORY_S = 20.0
"""Long enough to hold pauses of someone who talks on, short enough to follow a fan that is switched on."""
PERCENTILE = 10.0
"""People who talk without a stop still pause for more than a tenth of the time, at 30 ms a frame."""
LOWEST_DB, HIGHEST_DB = 0.0, 120.0


class Background:
    """Tracks the background's power without knowing what is speech.

    A low quantile of the frames' powers over some seconds, as in quantile-based noise estimation (Stahl, Fischer and
    Bippus, ICASSP 2000); a quantile, because one click or dropout moves the minimum (Martin 2001, Minimum Statistics)
    but not a quantile. For a steady noise it reads 0.4 dB too low. Frames of exact zeros come from a muted
    microphone, not from a quiet room, and do not count.
    """

    def __init__(self) -> None:
        self._powers: deque[float] = deque(maxlen=int(MEMORY_S * 1000 / FRAME_MS))

    def push(self, powers: Powers) -> None:
        """Take the powers of the next frames, relative to full scale."""
        self._powers.extend(powers[powers > 0].tolist())

    def snr_db(self, speech: Powers) -> float:
        """Return the mean power of the speech frames over the background's, dB, 0 to 120."""
        if not self._powers:
            return LOWEST_DB
        ratio = float(speech.mean()) / float(np.percentile(self._powers, PERCENTILE))
        return float(np.clip(10 * np.log10(ratio), LOWEST_DB, HIGHEST_DB)) if ratio > 0 else LOWEST_DB
