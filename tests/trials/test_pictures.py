"""The pictures of the trials: every curve has its name beside it, and no words cover others."""

import numpy as np
import pytest
from drawings import overlapping, text_boxes

from models.baseline import Reference
from trials import pictures, rooms


@pytest.mark.parametrize(
    ("wanted", "placed"),
    [
        ([0, 10], [0, 10]),
        ([5, 5, 5], [4, 5, 6]),
        ([0, 0, 9], [-0.5, 0.5, 9]),
        ([1, 1.5, 2, 2], [0.125, 1.125, 2.125, 3.125]),
    ],
)
def test_names_stand_as_near_as_may_be_to_their_curves(wanted: list[float], placed: list[float]) -> None:
    """Names that would cover each other share what they are moved by; others stay where they are."""
    assert pictures.apart(wanted, 1) == pytest.approx(placed)


@pytest.mark.parametrize("right", [0.4, 0.95])
def test_each_curve_of_the_rooms_is_named_apart(right: float) -> None:
    """However bad or good a model is, all words stand on the picture, and none on another."""
    rng = np.random.default_rng(1)
    truth = np.tile(np.arange(3), 120)
    said = np.where(rng.random(360) < right, truth, rng.integers(0, 3, 360))
    known = Reference(logs=tuple(map(tuple, np.log(np.eye(3) * 0.7 + 0.1).tolist())), mix=(0.15, 0.15, 0.7))
    corpora = [
        rooms.Corpus(title, np.eye(3)[said] * 0.7 + 0.1, truth, np.repeat(np.arange(30), 12), known, 2)
        for title in ("RAVDESS", "EmoDB, which trained it", "CREMA-D, which trained it")
    ]

    figure = rooms.draw("ang-hap-neu-10", corpora)

    boxes = text_boxes(figure)
    assert len(boxes) > 3 * len(rooms.SHARES)
    assert overlapping(boxes) == []
