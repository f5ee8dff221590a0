"""Metrics against values worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from training import evaluate
from training.corpora import Clip

LABELS = ("ANG", "HAP", "NEU")
TRUTH = np.array([0, 0, 0, 0, 1, 1, 2, 2])
SCORES = np.array(
    [
        [0.9, 0.1, 0.0],
        [0.9, 0.1, 0.0],
        [0.9, 0.1, 0.0],
        [0.1, 0.9, 0.0],
        [0.1, 0.9, 0.0],
        [0.6, 0.4, 0.0],
        [0.0, 0.0, 1.0],
        [0.0, 0.0, 1.0],
    ]
)
"""ANG: 3 of 4 right, 1 taken for HAP. HAP: 1 of 2 right, 1 taken for ANG. NEU: both right."""


def test_metrics_of_a_hand_made_confusion() -> None:
    """UAR, accuracy, macro F1, recalls and confusion are those worked out by hand."""
    found = evaluate.metrics(SCORES, TRUTH, LABELS)

    assert found.confusion == [[3, 1, 0], [1, 1, 0], [0, 0, 2]]
    assert found.recall == {"ANG": 0.75, "HAP": 0.5, "NEU": 1.0}
    assert found.uar == pytest.approx(0.75)
    assert found.accuracy == pytest.approx(6 / 8)
    assert found.macro_f1 == pytest.approx((6 / 8 + 2 / 4 + 4 / 4) / 3)


def test_uar_counts_each_class_alike() -> None:
    """Nine right of ten in one class and none of one in another is a UAR of 0.45."""
    truth = np.array([0] * 10 + [1])

    assert evaluate.uar(np.array([0] * 9 + [1, 0]), truth) == pytest.approx(0.45)


def test_calibration_error_is_the_mean_gap_of_bins_of_equal_size() -> None:
    """Of the four least sure three are right at 0.825, of the four surest three at 0.95: (0.075 + 0.2) / 2."""
    assert evaluate.calibration_error(SCORES, TRUTH, bins=2) == pytest.approx((0.075 + 0.2) / 2)


def test_calibration_error_of_few_windows() -> None:
    """Fewer windows than bins are a bin each."""
    assert evaluate.calibration_error(SCORES[-2:], TRUTH[-2:]) == 0


def test_uar_of_the_surest_leaves_out_the_others() -> None:
    """The two surest of eight are right; of all eight, the UAR is that of the confusion."""
    assert evaluate.uar_of_surest(SCORES, TRUTH, 0.25) == 1
    assert evaluate.uar_of_surest(SCORES, TRUTH, 1.0) == pytest.approx(0.75)


def test_temperature_is_recovered() -> None:
    """Outputs three times as sure as their hits warrant get a temperature near three."""
    rng = np.random.default_rng(1)
    outputs = rng.normal(0, 2, (20_000, 3))
    shares = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    truth = (rng.random((20_000, 1)) > shares.cumsum(axis=1)).sum(axis=1).clip(max=2)

    assert evaluate.fit_temperature(3 * outputs, truth) == pytest.approx(3, rel=0.05)


def test_interval_is_over_speakers() -> None:
    """One speaker always right and one always wrong give the widest interval; equal speakers give none."""
    truth = np.array([0, 1, 0, 1])
    speakers = np.array([1, 1, 2, 2])

    assert evaluate.uar_interval(np.array([0, 1, 1, 0]), truth, speakers) == (0, 1)
    assert evaluate.uar_interval(np.array([0, 0, 0, 0]), truth, speakers) == (0.5, 0.5)


def clip(label: str, **votes: int) -> Clip:
    """Return a clip that people voted on."""
    return Clip(
        path=Path("x.flac"),
        speaker=1,
        sex="Male",
        age=30,
        label=label,
        sentence="IEO",
        intensity="XX",
        samples=1,
        sha256="",
        votes=votes,
    )


def test_listeners_are_counted_by_votes() -> None:
    """Listeners' recall is the share of right votes; votes for an emotion that is no label do not count."""
    clips = [clip("ANG", ANG=6, HAP=1, NEU=1, SAD=5), clip("HAP", ANG=0, HAP=2, NEU=6, SAD=1)]

    found = evaluate.listeners([*clips, clip("NEU", ANG=0, HAP=0, NEU=4, SAD=4)], LABELS)

    assert found == {
        "votes": 20,
        "accuracy": 12 / 20,
        "uar": (0.75 + 0.25 + 1) / 3,
        "recall": {"ANG": 0.75, "HAP": 0.25, "NEU": 1.0},
    }


def test_without_votes_there_are_no_listeners() -> None:
    """A corpus that nobody was asked about has no human score."""
    assert evaluate.listeners([clip("ANG", ANG=0, HAP=0, NEU=0)], ("ANG",)) is None
