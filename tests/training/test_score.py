"""Predictions of trained models: their scores, and how they are kept in run folders."""

from pathlib import Path

import numpy as np
import pytest

from models.bundle import BundleError
from training import score


def test_predictions_of_another_version_are_refused(tmp_path: Path) -> None:
    """Predictions that lack an array, and missing ones, are named with what to do."""
    with pytest.raises(BundleError, match=r"answers.npz cannot be read: .*; delete it, and `moodwire train` scores"):
        score.load(tmp_path)
    np.savez(tmp_path / score.FILE, scores=np.zeros((1, 3)))
    with pytest.raises(BundleError, match=r"answers.npz cannot be read"):
        score.load(tmp_path)


def test_each_corpus_has_a_score_of_its_own() -> None:
    """Speakers of two corpora are scored together and apart; those of one corpus only together."""
    truth = np.array([0, 0, 1, 1] * 2)
    answers = np.eye(2)[[0, 0, 1, 1, 0, 1, 1, 0]]
    words = np.full(8, "X")
    speakers = np.repeat([1001, 203], 4)
    predicted = score.Predictions(answers, truth, speakers, words, words, words, words, words)

    told = score.describe(predicted, ("ANG", "NEU"))
    alone = score.describe(predicted._replace(speakers=np.full(8, 1001)), ("ANG", "NEU"))

    assert told["uar"] == 0.75
    assert told["uar_by_corpus"] == {"CREMA-D": 1.0, "EmoDB": 0.5}
    assert "uar_by_corpus" not in alone
