"""Predictions of trained models are kept in their run folders."""

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
