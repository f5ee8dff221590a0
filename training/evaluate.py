"""Metrics of classifiers: recall, calibration, confidence, and people as a classifier."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.frontend import Frames
from models.runtime import Classifier, Scores, softmax
from training.corpora import Clip

Truth = NDArray[np.intp]
"""The actor's label of each window, as its index, shape (n,)."""
Logits = NDArray[np.float64]
"""Shape (n, labels)."""


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics over windows whose label is known."""

    uar: float
    """Unweighted average recall: the mean of the classes' recalls, so that a large class counts no more."""
    accuracy: float
    macro_f1: float
    recall: dict[str, float]
    confusion: list[list[int]]
    """Rows are the truth, columns the predictions."""
    ece: float
    """Expected calibration error (Naeini et al. 2015)."""


def logits(classifier: Classifier, windows: Sequence[Frames]) -> Logits:
    """Return the logits for each window of log-mel frames in dB, shape (n, labels)."""
    return np.stack([classifier.logits(window) for window in windows])


def metrics(scores: Scores, truth: Truth, labels: tuple[str, ...]) -> Metrics:
    """Return the metrics of these probabilities, shape (n, labels)."""
    classes = scores.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), int)
    np.add.at(confusion, (truth, classes), 1)
    hits = confusion.diagonal()
    recall = hits / np.maximum(1, confusion.sum(axis=1))
    f1 = 2 * hits / np.maximum(1, confusion.sum(axis=1) + confusion.sum(axis=0))
    there = confusion.sum(axis=1) > 0  # few clips may lack a label: it has no recall, and does not count as missed
    return Metrics(
        uar=float(recall[there].mean()),
        accuracy=float(hits.sum() / confusion.sum()),
        macro_f1=float(f1[there].mean()),
        recall=dict(zip(labels, recall.tolist(), strict=True)),
        confusion=confusion.tolist(),
        ece=calibration_error(scores, truth),
    )


class Bin(NamedTuple):
    """Windows with about the same confidence."""

    confidence: float
    """Mean highest probability."""
    accuracy: float
    size: int
    """How many windows."""


def reliability(scores: Scores, truth: Truth, bins: int = 15) -> list[Bin]:
    """Return confidence and accuracy in bins of equally many windows, least confident first."""
    confidence = scores.max(axis=1)
    correct = scores.argmax(axis=1) == truth
    return [
        Bin(float(confidence[members].mean()), float(correct[members].mean()), len(members))
        for members in np.array_split(np.argsort(confidence, kind="stable"), min(bins, len(truth)))
    ]


def calibration_error(scores: Scores, truth: Truth, bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy over bins of equally many windows (Naeini et al. 2015)."""
    gaps = [abs(bin_.accuracy - bin_.confidence) * bin_.size for bin_ in reliability(scores, truth, bins)]
    return float(sum(gaps) / len(truth))


def uar_of_surest(scores: Scores, truth: Truth, share: float) -> float:
    """Return the unweighted average recall over this share of the windows, the most confident ones."""
    surest = np.argsort(-scores.max(axis=1), kind="stable")[: max(1, round(share * len(truth)))]
    return uar(scores[surest].argmax(axis=1), truth[surest])


def uar(classes: NDArray[np.intp], truth: Truth) -> float:
    """Return the unweighted average recall of predicted classes, over the classes that occur in truth."""
    return float(np.mean([(classes[truth == label] == label).mean() for label in np.unique(truth)]))


def uar_interval(
    classes: NDArray[np.intp], truth: Truth, speakers: NDArray[np.intp], draws: int = 2_000
) -> tuple[float, float]:
    """Return the 95 % interval of the UAR by bootstrap over speakers, as clips of one speaker resemble each other."""
    rng = np.random.default_rng(0)
    clips_of = [np.flatnonzero(speakers == speaker) for speaker in np.unique(speakers)]
    values = []
    for _ in range(draws):
        drawn = np.concatenate([clips_of[i] for i in rng.integers(0, len(clips_of), len(clips_of))])
        values.append(uar(classes[drawn], truth[drawn]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def fit_temperature(logits: Logits, truth: Truth) -> float:
    """Return the temperature that gives the truth the highest likelihood (Guo et al. 2017)."""
    candidates = np.geomspace(0.1, 10, 401)
    rows = np.arange(len(truth))
    losses = [-np.log(softmax(logits / value)[rows, truth] + 1e-12).mean() for value in candidates]
    return float(candidates[np.argmin(losses)])


def listeners(clips: Sequence[Clip], labels: tuple[str, ...]) -> dict[str, Any] | None:
    """Return recall and accuracy of the people who heard the voice alone; None where nobody was asked.

    Only votes for one of the labels count.
    """
    votes = {label: np.zeros(len(labels), int) for label in labels}
    for clip in clips:
        votes[clip.label] += [clip.votes.get(label, 0) for label in labels]
    if any(row.sum() == 0 for row in votes.values()):
        return None
    recall = {label: float(row[labels.index(label)] / row.sum()) for label, row in votes.items()}
    correct = sum(int(row[labels.index(label)]) for label, row in votes.items())
    total = int(sum(row.sum() for row in votes.values()))
    return {"votes": total, "accuracy": correct / total, "uar": float(np.mean(list(recall.values()))), "recall": recall}
