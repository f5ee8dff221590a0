"""A release: after the cross-validation of its recipe, a model is trained on every speaker."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from models.bundle import Bundle, Manifest
from models.runtime import Classifier
from training import calibrate, elsewhere, evaluate, export, fit, score, splits
from training.backgrounds import BACKGROUNDS, NOISES
from training.corpora import Clip
from training.features import FrameCache
from training.learn import learn
from training.recipe import Recipe
from training.score import Predictions
from training.splits import Fold

PROTOCOL = (
    "This file was trained on all speakers, so there is none left to score it on: the figures are those of {models} "
    "models that the same recipe made, each with a block of actors held out, counted over all of their answers "
    "together. UAR, accuracy, the UAR in noise and before quantisation and what is said of certain windows are means "
    "over these models, temperature and threshold means of theirs. "
)


def train(cache: FrameCache, recipe: Recipe, done: Mapping[Fold, Manifest], runs_dir: Path) -> Bundle:
    """Train on all speakers, write the bundle beside its folds, and return it; a finished training is not repeated.

    Args:
        cache: frames of all clips.
        recipe: what to train.
        done: manifests of the recipe's folds, one or more with each block of speakers held out. They give the scores,
            since nobody is left to score this model on.
        runs_dir: holds the trainings.

    Raises:
        BundleError: the predictions of a fold cannot be read.
        RecipeError: the run folder is that of another recipe.
    """
    fold = Fold(0, recipe.seed, splits.RELEASE)
    split = splits.of(cache.clips, fold, recipe)
    model = fit.load(recipe, learn(cache, recipe, split, fold, runs_dir), recipe.labels)
    made = export.quantised(model, recipe, split.train, fold, runs_dir)
    clips = split.train
    pooled = _pooled(done, runs_dir / recipe.folder)
    uncertain_below = _mean(manifest.uncertain_below for manifest in done.values())
    seeds = len({fold.seed for fold in done})
    apart = elsewhere.of_folds(pooled, recipe.labels, uncertain_below, seeds) if len(recipe.corpora) > 1 else {}
    manifest = msgspec.structs.replace(
        made.manifest,
        temperature=_mean(manifest.temperature for manifest in done.values()),
        uncertain_below=uncertain_below,
        baseline=calibrate.reference(pooled, recipe.labels),
        measured={
            **made.manifest.measured,
            **_measured(clips, recipe, done, pooled),
            **({"of_corpora": msgspec.to_builtins(apart)} if apart else {}),
            "uar_of_training_clips": _training_uar(made, clips),
        },
    )
    made = msgspec.structs.replace(made, manifest=manifest)
    export.write(made)
    return made


def cross_validation(done: Mapping[Fold, Manifest], recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's scores with each block of speakers held out in turn: means over the seeds, then the blocks."""
    rows: list[dict[str, Any]] = []
    for block in sorted({fold.block for fold in done}):
        seeds = [manifest.measured for fold, manifest in done.items() if fold.block == block]
        uars = [measured["uar"] for measured in seeds]
        rows.append(
            {
                "speakers": splits.span(recipe, block),
                "uar": float(np.mean(uars)),
                "uar_of_seeds": uars,
                "float_uar": float(np.mean([measured["float_uar"] for measured in seeds])),
            }
        )
    return {
        "uar": float(np.mean([row["uar"] for row in rows])),
        "uar_deviation": float(np.std([row["uar"] for row in rows], ddof=1)) if len(rows) > 1 else 0.0,
        "float_uar": float(np.mean([row["float_uar"] for row in rows])),
        "accuracy": float(np.mean([manifest.measured["accuracy"] for manifest in done.values()])),
        "folds": rows,
    }


def _measured(
    clips: Sequence[Clip], recipe: Recipe, done: Mapping[Fold, Manifest], pooled: Predictions
) -> dict[str, Any]:
    folds = [manifest.measured for manifest in done.values()]
    accuracies = [fold["sure"]["accuracy"] for fold in folds if fold["sure"]["accuracy"] is not None]
    validated = cross_validation(done, recipe)
    return {
        **score.describe(pooled, recipe.labels),
        **{name: validated[name] for name in ("uar", "float_uar", "accuracy")},
        "uar_in_noise": {name: _mean(fold["uar_in_noise"][name] for fold in folds) for name in NOISES},
        "sure": {
            "share": _mean(fold["sure"]["share"] for fold in folds),
            "accuracy": _mean(accuracies) if accuracies else None,
        },
        "listeners": evaluate.listeners([clip for clip in clips if clip.label in recipe.labels], recipe.labels),
        "protocol": PROTOCOL.format(models=len(folds)) + export.PROTOCOL,
        "split": splits.RELEASE,
        "speakers": {"train": splits.speakers(clips), "test": []},
        "clips": {"train": len(clips), "test": 0},
        "cross_validation": validated,
    }


def _pooled(done: Mapping[Fold, Manifest], runs: Path) -> Predictions:
    """Return the calibrated predictions of all folds together."""
    return score.pool(
        [score.calibrated(score.load(runs / fold.folder), manifest.temperature) for fold, manifest in done.items()]
    )


def _training_uar(made: Bundle, clips: Sequence[Clip]) -> float:
    """Return the UAR on the training clips of the bundle's labels."""
    labels = made.manifest.labels
    own = {"own": BACKGROUNDS["own"]}
    test = [clip for clip in clips if clip.label in labels]
    classes = evaluate.logits(Classifier(made), score.windows(test, made.manifest, own)).argmax(axis=1)
    return evaluate.uar(classes, score.truth(test, labels, own))


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 4)
