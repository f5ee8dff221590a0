"""Temperature and threshold of a fold's model, from the predictions of the other folds' models for unheard speakers.

So all speakers that are not held out can teach, and neither number is chosen on the speakers that score it. The same
predictions tell what the model's outputs are like on its own corpus, with which a device compares what it hears.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from models import baseline, bundle
from models.baseline import Reference
from models.bundle import Manifest
from training import evaluate, export, score
from training.splits import Fold


def calibrate(done: Mapping[Fold, Manifest], runs: Path, uncertain_share: float) -> dict[Fold, Manifest]:
    """Return the manifests of a recipe's folds with temperature and threshold, and write them into the run folders.

    A fold keeps its manifest if no other block was held out.

    Args:
        done: the folds' manifests.
        runs: the recipe's run folders.
        uncertain_share: share of the other folds' windows below the threshold.

    Raises:
        BundleError: the predictions or the bundle of a fold cannot be read.
    """
    predictions = {fold: score.load(runs / fold.folder) for fold in done}
    calibrated = dict(done)
    for fold, manifest in done.items():
        others = [predicted for other, predicted in predictions.items() if other.block != fold.block]
        if others:
            pooled = score.pool(others)
            temperature, uncertain_below = _fitted(pooled, uncertain_share)
            predicted = score.calibrated(predictions[fold], temperature)
            metrics = {**score.describe(predicted, manifest.labels), "sure": score.sure(predicted, uncertain_below)}
            calibrated[fold] = msgspec.structs.replace(
                manifest,
                temperature=temperature,
                uncertain_below=uncertain_below,
                baseline=reference(score.calibrated(pooled, temperature), manifest.labels),
                measured={**manifest.measured, **metrics},
            )
            export.write(msgspec.structs.replace(bundle.load(runs / fold.folder), manifest=calibrated[fold]))
    return calibrated


def reference(predicted: score.Predictions, labels: tuple[str, ...]) -> Reference:
    """Return what a device compares its outputs with, from calibrated predictions for people whom a model never heard.

    The assumed mix is that of everyday speech.
    """
    return baseline.reference(predicted.scores, predicted.truth, baseline.usual_mix(labels))


def _fitted(others: score.Predictions, uncertain_share: float) -> tuple[float, float]:
    """Return temperature and threshold."""
    temperature = round(evaluate.fit_temperature(score.logits(others), others.truth), 4)
    confidence = score.calibrated(others, temperature).scores.max(axis=1)
    return temperature, round(float(np.quantile(confidence, uncertain_share)), 4)
