"""Temperature and threshold come from other folds."""

import numpy as np
import pytest
from miniature import CrossValidated

from models import bundle
from training import evaluate as evaluation
from training import score

pytestmark = pytest.mark.slow


def test_a_model_is_calibrated_by_speakers_that_do_not_score_it(cross_validated: CrossValidated) -> None:
    """Temperature and threshold of a fold are those that fit what the other folds' models say to their own speakers.

    A fold alone has neither: its probabilities are the model's own, and nothing is uncertain.
    """
    settings, alone = cross_validated
    raw = bundle.load(alone).manifest
    assert (raw.temperature, raw.uncertain_below, raw.measured["sure"]["share"]) == (1.0, 0.0, 1.0)
    assert "It is not calibrated" in (alone / "CARD.md").read_text()

    made = bundle.load(settings.bundle_dir).manifest
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
