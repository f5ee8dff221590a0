"""Temperature and threshold of a fold's model: from what the other folds' models say to speakers they never heard.

So every speaker beside those of the score can teach, and neither number is chosen on whom it is judged by.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from models import bundle
from models.bundle import Manifest
from training import evaluate, export, score
from training.splits import Fold


def calibrate(done: Mapping[Fold, Manifest], runs: Path, uncertain_share: float) -> dict[Fold, Manifest]:
    """Return the manifests of a recipe's folds with temperature and threshold, and write them into the run folders.

    A fold stays as it is where no other block was held out.

    Args:
        done: the folds' manifests.
        runs: the recipe's run folders.
        uncertain_share: share of the other folds' windows that the threshold sets aside.

    Raises:
        BundleError: a fold's answers or its bundle cannot be read.
    """
    found = {fold: score.load(runs / fold.folder) for fold in done}
    calibrated = dict(done)
    for fold, manifest in done.items():
        others = [answers for other, answers in found.items() if other.block != fold.block]
        if others:
            temperature, uncertain_below = _fitted(score.pool(others), uncertain_share)
            answers = score.calibrated(found[fold], temperature)
            worth = {**score.describe(answers, manifest.labels), "sure": score.sure(answers, uncertain_below)}
            calibrated[fold] = msgspec.structs.replace(
                manifest,
                temperature=temperature,
                uncertain_below=uncertain_below,
                measured={**manifest.measured, **worth},
            )
            export.write(msgspec.structs.replace(bundle.load(runs / fold.folder), manifest=calibrated[fold]))
    return calibrated


def _fitted(others: score.Answers, uncertain_share: float) -> tuple[float, float]:
    temperature = round(evaluate.fit_temperature(score.outputs(others), others.truth), 4)
    confidence = score.calibrated(others, temperature).scores.max(axis=1)
    return temperature, round(float(np.quantile(confidence, uncertain_share)), 4)
