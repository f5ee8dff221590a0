"""What a table of confusion tells: recalls, a report for each class, and the same with labels merged."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.results import Score
from training.tables import Row

Counts = NDArray[np.intp]
"""Rows are the truth, columns the predictions, shape (labels, labels)."""
Merge = Callable[[str], str]
"""Takes a label and returns the one that it counts as."""


class Merged(NamedTuple):
    """Scores with labels merged: an answer counts as the label that it was merged into."""

    labels: tuple[str, ...]
    uars: list[float]
    """Of each block, seeds averaged first."""
    counts: Counts
    """Of all trainings together."""

    @property
    def uar(self) -> float:
        """Mean over the blocks."""
        return float(np.mean(self.uars))


def uar(counts: Counts) -> float:
    """Return the mean of the classes' recalls, over the classes that occur."""
    true = counts.sum(axis=1)
    return float((counts.diagonal()[true > 0] / true[true > 0]).mean())


def accuracy(counts: Counts) -> float:
    """Return the share of right answers."""
    return float(counts.diagonal().sum() / counts.sum())


def merged(found: Score, labels: Sequence[str], merge: Merge) -> Merged | None:
    """Return the scores with labels merged; None where a training does not tell its confusion."""
    names = tuple(sorted({merge(label) for label in labels}))
    of_blocks: dict[int, list[float]] = {}
    whole = np.zeros((len(names), len(names)), int)
    for training in found.trainings:
        if training.confusion is None:
            return None
        counts = merge_counts(np.array(training.confusion), labels, merge)
        of_blocks.setdefault(training.block, []).append(uar(counts))
        whole += counts
    return Merged(names, [float(np.mean(of_blocks[block])) for block in found.blocks], whole)


def merge_counts(counts: Counts, labels: Sequence[str], merge: Merge) -> Counts:
    """Return the confusion of merged labels, which are in the order of the alphabet."""
    names = sorted({merge(label) for label in labels})
    places = [names.index(merge(label)) for label in labels]
    found = np.zeros((len(names), len(names)), int)
    for place, row in zip(places, counts, strict=True):
        np.add.at(found[place], places, row)
    return found


def report(labels: Sequence[str], counts: Counts, beside: dict[str, Counts] | None = None) -> list[Row]:
    """Return a row for each class and those of all together, as scikit-learn's `classification_report` has them.

    Args:
        labels: of the rows.
        counts: what was taken for what.
        beside: what others of the same labels took for what, by the title of a column; their recalls are shown too.
    """
    hits, said, true = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
    columns = {
        "precision": hits / np.maximum(1, said),
        "recall": hits / np.maximum(1, true),
        "F1": 2 * hits / np.maximum(1, true + said),
        **{title: others.diagonal() / np.maximum(1, others.sum(axis=1)) for title, others in (beside or {}).items()},
    }

    def row(title: str, right: str, values: dict[str, float], wrong: str = "") -> Row:
        shown = {name: f"{value:.2f}" if name == "F1" else f"{value:.1%}" for name, value in values.items()}
        return {"portrayed": title, "right": right, **shown, "mostly taken for": wrong}

    rows = [
        row(
            label,
            f"{hits[place]:,} of {true[place]:,}",
            {name: values[place] for name, values in columns.items()},
            _mostly(labels, counts[place], place),
        )
        for place, label in enumerate(labels)
    ]
    there = true > 0
    macro = {name: float(values[there].mean()) for name, values in columns.items()}
    weighted = {name: float(np.average(values, weights=true)) for name, values in columns.items()}
    right = f"{hits.sum():,} of {true.sum():,}"
    return [*rows, row("mean of the classes", right, macro), row("weighted by their size", right, weighted)]


def _mostly(labels: Sequence[str], row: NDArray[np.intp], place: int) -> str:
    others = row.copy()
    others[place] = 0
    return labels[int(others.argmax())] if others.any() else ""
