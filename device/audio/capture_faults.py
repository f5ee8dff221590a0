"""Faults of captured sound: constant values and losses."""

import numpy as np

from broker.messages import CaptureState
from models.frontend import Samples

CONSTANT_S = 3.0
"""A working microphone's own noise never keeps one value for this long."""

LOSS_FREE_S = 60.0
"""A spell of losses is over after this long without one."""


class ConstantDetector:
    """Detects a microphone that delivers exact zeros, or one other value, for some seconds."""

    def __init__(self) -> None:
        self._value: int | None = None
        self._count = 0
        """How often the latest samples had this value."""

    def push(self, samples: Samples, rate_hz: int) -> CaptureState:
        """Take the next mono samples and return `ok`, `zeros` or `flat` as of the last one."""
        if len(samples) > 0:
            last = int(samples[-1])
            others = np.flatnonzero(samples != last)
            count = len(samples) - 1 - int(others[-1]) if len(others) else len(samples)
            continues = count == len(samples) and last == self._value
            self._count = count + (self._count if continues else 0)
            self._value = last
        if self._count < CONSTANT_S * rate_hz:
            return "ok"
        return "flat" if self._value else "zeros"


class LossTracker:
    """Reports when a spell of lost blocks begins and when it is over."""

    def __init__(self) -> None:
        self._total = 0
        self._latest_s: float | None = None
        """When the latest block was lost; None outside a spell."""
        self._total_before = 0

    def push(self, total: int, now_s: float) -> str | None:
        """Take the number of blocks lost so far, which only grows, and return a sentence for the log, if any."""
        lost, self._total = total - self._total, total
        if lost:
            begins, self._latest_s = self._latest_s is None, now_s
            if begins:
                self._total_before = total - lost
                return "losing sound, because the device does not keep up; stop other programs that use the processor"
        elif self._latest_s is not None and now_s - self._latest_s >= LOSS_FREE_S:
            self._latest_s = None
            return f"no sound lost for {LOSS_FREE_S:.0f} s; {total - self._total_before} blocks were lost before"
        return None
