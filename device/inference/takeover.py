"""Takeover: whether one emotion has won for an hour what usually many share, by what was usual before that hour.

A baseline follows what it hears, so an hour of anger becomes usual, and readings no longer show it. It is seen
by the baseline that was in force before.
"""

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.baseline import NEUTRAL, Heard, Reference, shifted
from models.runtime import Scores

SPAN_MIN = 60
"""Minutes that are judged, up to now."""
LEAST_MINUTES, LEAST_WINDOWS = 10, 100
"""Minutes in which somebody spoke, and windows with speech, in each half of them: a quarrel is no takeover."""
LEAST_STRENGTH = 0.8
"""Of the baseline before, which has then heard 80 windows."""
EXCESS = 0.5
"""Of what the assumed mix gives to all others, an emotion must win this share beside its own: in all 57 %, not 15 %."""


class _Minute(NamedTuple):
    number: int
    usual: Heard
    """The baseline at its beginning."""
    wins: NDArray[np.int64]
    """Windows that each label won, shape (labels,)."""


class Takeover:
    """Counts which label wins each window, by the baseline of an hour before.

    Args:
        labels: of the model.
        reference: what the model says of its own corpus, with the assumed mix.
    """

    def __init__(self, labels: tuple[str, ...], reference: Reference) -> None:
        self._labels = labels
        self._reference = reference
        self._minutes: deque[_Minute] = deque()

    def push(self, scores: Scores, usual: Heard, now_s: float) -> None:
        """Count a window with speech.

        Args:
            scores: calibrated probabilities before any baseline, shape (labels,).
            usual: the baseline of all windows before.
            now_s: time on any clock that only goes forward.
        """
        number = int(now_s // 60)
        if not self._minutes or self._minutes[-1].number != number:
            self._minutes.append(_Minute(number, usual, np.zeros(len(self._labels), np.int64)))
            # One that began before the span stays, since its baseline was in force when the span began.
            while len(self._minutes) > 1 and self._minutes[1].number <= number - SPAN_MIN:
                self._minutes.popleft()
        before = self._minutes[0].usual
        if before.strength >= LEAST_STRENGTH:
            winner = int(shifted(scores, before.shift(self._reference)).argmax())
            self._minutes[-1].wins[winner] += 1

    def label(self, now_s: float) -> str | None:
        """Return the label that has taken over in both halves of the span, other than neutral; None while none has."""
        now = int(now_s // 60)
        first = self._winner(now - SPAN_MIN, now - SPAN_MIN // 2)
        return first if first == self._winner(now - SPAN_MIN // 2, now) else None

    def _winner(self, after: int, last: int) -> str | None:
        """Return the label that has taken over in these minutes; each counts alike, however much was said."""
        wins = [minute.wins for minute in self._minutes if after < minute.number <= last and minute.wins.any()]
        if len(wins) < LEAST_MINUTES or np.sum(wins) < LEAST_WINDOWS:
            return None
        shares = np.mean([won / won.sum() for won in wins], axis=0)
        label = int(shares.argmax())
        expected = self._reference.mix[label]
        if self._labels[label] == NEUTRAL or shares[label] < expected + EXCESS * (1 - expected):
            return None
        return self._labels[label]

    def forget(self) -> None:
        """Begin anew, because the device's data has been erased."""
        self._minutes.clear()
