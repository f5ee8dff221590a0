"""What can be wrong with captured sound."""

import numpy as np

from broker.messages import CaptureState
from models.frontend import Samples

SAME_S = 3.0
"""A microphone's own noise never keeps one value for so long."""

QUIET_S = 60.0
"""Without a loss for so long, a spell of losses is over."""


class StuckDetector:
    """Tells from samples alone whether a microphone delivers exact zeros, or one other value, for some seconds."""

    def __init__(self) -> None:
        self._value: int | None = None
        self._same = 0

    def push(self, samples: Samples, rate_hz: int) -> CaptureState:
        """Take the next mono samples and return what is known at their end."""
        if len(samples) > 0:
            last = int(samples[-1])
            others = np.flatnonzero(samples != last)
            same = len(samples) - 1 - int(others[-1]) if len(others) else len(samples)
            goes_on = same == len(samples) and last == self._value
            self._same = same + (self._same if goes_on else 0)
            self._value = last
        if self._same < SAME_S * rate_hz:
            return "ok"
        return "flat" if self._value else "zeros"


class LossTracker:
    """Tells when sound begins to get lost, and when that is over, from a count that only grows."""

    def __init__(self) -> None:
        self._total = 0
        self._latest_s: float | None = None
        self._before = 0

    def push(self, total: int, now_s: float) -> str | None:
        """Take the blocks lost so far, and return the sentence to log, if any."""
        new, self._total = total - self._total, total
        if new:
            began, self._latest_s = self._latest_s is None, now_s
            if began:
                self._before = total - new
                return "sound is being lost, as it is not taken in time: other programs may need the processor too much"
        elif self._latest_s is not None and now_s - self._latest_s >= QUIET_S:
            self._latest_s = None
            return f"no sound has been lost for {QUIET_S:.0f} s; {total - self._before} blocks were"
        return None
