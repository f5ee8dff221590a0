"""Baseline: what is usual where a device stands, and the shift of its scores that follows from it.

Another room, microphone, voice or language moves a model's outputs by about the same amount for every emotion. The
mean of the outputs tells how far, once it is assumed how often each emotion is heard: scores are shifted so that the
mean of what was heard becomes what the model's own corpus would give for that mix. It needs no label and no sound, only
one number for each label. docs/decisions/baseline.md tells what else was tried.
"""

from typing import Annotated, Self

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

LEAST_PROBABILITY = 0.01
"""Smaller ones count as this much: a few windows of which a model is very sure do not make the mean."""
HALF_STRENGTH = 20
"""Windows after which half of the shift is made: so many windows say as much of the mean as was known before."""
LEARNED = 200
"""Windows from which a baseline is called learned; its strength is then 0.91."""
NEUTRAL = "NEU"
NEUTRAL_SHARE = 0.7
"""Of everyday speech, an assumption."""
MIX_TOLERANCE = 1e-3

Values = NDArray[np.float64]


class Reference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model says of its own corpus, and how often a device is assumed to hear each emotion."""

    logs: tuple[tuple[float, ...], ...]
    """Mean of `relative_logs` over the windows of each label, spoken by people whom the model never heard."""
    mix: tuple[float, ...]
    """Assumed share of each label in what a device hears."""

    def __post_init__(self) -> None:
        """Check what the types cannot.

        Raises:
            ValueError: the sizes differ, or the shares are none.
        """
        if {len(row) for row in self.logs} != {len(self.mix)} or len(self.logs) != len(self.mix):
            raise ValueError(f"baseline has {len(self.mix)} shares; give as many rows of logs, each as long")
        if min(self.mix) < 0 or abs(sum(self.mix) - 1) > MIX_TOLERANCE:
            raise ValueError(f"baseline has the shares {', '.join(map(str, self.mix))}; give shares that sum to 1")

    @property
    def expected(self) -> Values:
        """The mean of `relative_logs` that the corpus would give for the mix, shape (labels,)."""
        expected: Values = np.array(self.mix) @ np.array(self.logs)
        return expected

    def with_share(self, label: int, share: float) -> Self:
        """Return a reference that assumes this share of one label; the others keep their proportions."""
        rest = 1 - self.mix[label]
        others = [part * (1 - share) / rest if rest else (1 - share) / (len(self.mix) - 1) for part in self.mix]
        return msgspec.structs.replace(self, mix=tuple(share if i == label else part for i, part in enumerate(others)))


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """Running mean over windows with speech, which forgets slowly."""

    weight: Annotated[float, Meta(ge=0)] = 0.0
    """How many windows the mean is worth; those long ago count less."""
    logs: tuple[float, ...] = ()
    """Mean of `relative_logs`; empty before the first window."""

    def add(self, scores: Values, half_life: float) -> "Heard":
        """Return the mean with one or more windows after those before.

        Args:
            scores: calibrated probabilities, shape (labels,) or (windows, labels), the oldest first.
            half_life: windows after which one counts half.
        """
        logs = relative_logs(np.atleast_2d(scores))
        weights = 0.5 ** (np.arange(len(logs), -1, -1) / half_life)  # of all before, then of each window
        weights[0] *= self.weight
        before = np.array(self.logs or np.zeros(logs.shape[1]))
        total = float(weights.sum())
        mean = weights @ np.vstack((before, logs)) / total
        return Heard(weight=total, logs=tuple(mean.tolist()))

    @property
    def strength(self) -> float:
        """How much of the shift is made: 0 before the first window, towards 1 the more is heard."""
        return self.weight / (self.weight + HALF_STRENGTH)

    def shift(self, reference: Reference) -> Values:
        """Return what is added to the logarithms of scores, shape (labels,)."""
        if not self.logs:
            return np.zeros(len(reference.mix))
        shift: Values = self.strength * (reference.expected - np.array(self.logs))
        return shift


def relative_logs(scores: Values) -> Values:
    """Return the logarithms of probabilities, at least `LEAST_PROBABILITY`, less their mean over the last axis."""
    logs = np.log(np.maximum(scores, LEAST_PROBABILITY))
    relative: Values = logs - logs.mean(axis=-1, keepdims=True)
    return relative


def shifted(scores: Values, shift: Values) -> Values:
    """Return probabilities after a shift of their logarithms, over the last axis."""
    moved = scores * np.exp(shift - shift.max())
    total = moved.sum(axis=-1, keepdims=True)
    result: Values = moved / total
    return result


def reference(scores: Values, truth: NDArray[np.intp], mix: tuple[float, ...]) -> Reference:
    """Return the reference of a model from its calibrated probabilities for people whom it never heard.

    Args:
        scores: shape (windows, labels).
        truth: the label of each window, as its index; each label occurs.
        mix: assumed share of each label.
    """
    logs = relative_logs(scores)
    means = [tuple(round(float(value), 4) for value in logs[truth == label].mean(axis=0)) for label in range(len(mix))]
    return Reference(logs=tuple(means), mix=mix)


def usual_mix(labels: tuple[str, ...]) -> tuple[float, ...]:
    """Return the mix that is assumed of everyday speech: mostly neutral if that is a label, and the others alike."""
    if NEUTRAL not in labels:
        return (1 / len(labels),) * len(labels)
    other = round((1 - NEUTRAL_SHARE) / (len(labels) - 1), 4)
    return tuple(NEUTRAL_SHARE if label == NEUTRAL else other for label in labels)
