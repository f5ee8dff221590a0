"""Temperature and threshold come from other folds."""

from pathlib import Path

import numpy as np
import pytest

from models import bundle
from training import evaluate as evaluation
from training import score
from training.commands import train
from training.settings import TrainSettings

pytestmark = pytest.mark.slow


def test_a_model_is_calibrated_by_speakers_that_do_not_score_it(settings: TrainSettings, tmp_path: Path) -> None:
    """Temperature and threshold of a fold are those that fit what the other folds' models say to their own speakers.

    A fold alone has neither: its probabilities are the model's own, and nothing is uncertain.
    """
    alone = TrainSettings("tiny", settings.recordings_dir, settings.runs_dir, tmp_path / "alone")
    assert train(alone) == 0
    raw = bundle.load(tmp_path / "alone").manifest
    assert (raw.temperature, raw.uncertain_below, raw.measured["sure"]["share"]) == (1.0, 0.0, 1.0)
    assert "It is not calibrated" in (tmp_path / "alone" / "CARD.md").read_text()

    assert train(settings) == 0

    made = bundle.load(tmp_path / "tiny").manifest
    runs = next(settings.runs_dir.glob("tiny-0-*"))
    kept = {block: score.load(runs / f"block-{block}-seed-1") for block in (1, 2, 3, 4)}
    others = score.pool([kept[block] for block in (1, 2, 3)])
    assert made.temperature == round(evaluation.fit_temperature(np.log(others.scores), others.truth), 4)
    confidence = score.calibrated(others, made.temperature).scores.max(axis=1)
    assert made.uncertain_below == round(float(np.quantile(confidence, 0.2)), 4)
    found = score.calibrated(kept[4], made.temperature)
    assert made.measured["ece"] == evaluation.calibration_error(found.scores, found.truth)
    assert made.measured["uar"] == raw.measured["uar"]
    assert "are `uncertain`" in (runs / "block-4-seed-1" / "CARD.md").read_text()
