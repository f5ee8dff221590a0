"""The model that is shipped: a cross-validated recipe, taught by every speaker."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from models.bundle import Bundle, Manifest
from models.runtime import Classifier
from training import evaluate, export, fit, score, splits
from training.backgrounds import BACKGROUNDS, NOISES
from training.corpora import Clip
from training.features import Material
from training.learn import learn
from training.recipe import Recipe
from training.splits import Fold

PROTOCOL = (
    "This file was trained on all speakers, so there is none left to score it on: the figures are those of {models} "
    "models that the same recipe made, each with a block of actors held out, counted over all of their answers "
    "together. UAR, accuracy, the UAR in noise and before quantisation and what is said of certain windows are means "
    "over these models, temperature and threshold means of theirs. "
)


def train(material: Material, recipe: Recipe, done: Mapping[Fold, Manifest], runs_dir: Path) -> Bundle:
    """Train on all speakers, write the bundle beside its folds, and return it; one that was trained before is kept.

    Args:
        material: what there is to hear.
        recipe: what to do.
        done: the recipe's models with each block of speakers held out, one or more of each; they tell what this one is
            worth, since nobody is left to score it on.
        runs_dir: where all of them are kept.

    Raises:
        BundleError: the answers of a fold cannot be read.
        RecipeError: the run folder is that of another recipe.
    """
    fold = Fold(0, recipe.seed, splits.RELEASE)
    split = splits.of(material.clips, fold, recipe)
    model = fit.load(recipe, learn(material, recipe, split, fold, runs_dir), recipe.labels)
    made = export.bundled(model, recipe, split.train, fold, runs_dir)
    clips = split.train
    manifest = msgspec.structs.replace(
        made.manifest,
        temperature=_mean(manifest.temperature for manifest in done.values()),
        uncertain_below=_mean(manifest.uncertain_below for manifest in done.values()),
        measured={
            **made.manifest.measured,
            **_measured(clips, recipe, done, runs_dir / recipe.folder),
            "uar_of_training_clips": _uar_of_heard(made, clips),
        },
    )
    made = msgspec.structs.replace(made, manifest=manifest)
    export.write(made)
    return made


def cross_validation(done: Mapping[Fold, Manifest]) -> dict[str, Any]:
    """Return a recipe's scores with each block of speakers held out in turn: means over the seeds, then the blocks."""
    rows: list[dict[str, Any]] = []
    for block in splits.BLOCKS:
        seeds = [manifest.measured for fold, manifest in done.items() if fold.block == block]
        uars = [measured["uar"] for measured in seeds]
        rows.append(
            {
                "speakers": splits.span(block),
                "uar": float(np.mean(uars)),
                "uar_of_seeds": uars,
                "float_uar": float(np.mean([measured["float_uar"] for measured in seeds])),
            }
        )
    return {
        "uar": float(np.mean([row["uar"] for row in rows])),
        "uar_deviation": float(np.std([row["uar"] for row in rows], ddof=1)),
        "float_uar": float(np.mean([row["float_uar"] for row in rows])),
        "accuracy": float(np.mean([manifest.measured["accuracy"] for manifest in done.values()])),
        "folds": rows,
    }


def _measured(clips: Sequence[Clip], recipe: Recipe, done: Mapping[Fold, Manifest], runs: Path) -> dict[str, Any]:
    folds = [manifest.measured for manifest in done.values()]
    right = [fold["sure"]["accuracy"] for fold in folds if fold["sure"]["accuracy"] is not None]
    crossed = cross_validation(done)
    answers = [score.calibrated(score.load(runs / fold.folder), of.temperature) for fold, of in done.items()]
    return {
        **score.describe(score.pool(answers), recipe.labels),
        **{name: crossed[name] for name in ("uar", "float_uar", "accuracy")},
        "uar_in_noise": {name: _mean(fold["uar_in_noise"][name] for fold in folds) for name in NOISES},
        "sure": {
            "share": _mean(fold["sure"]["share"] for fold in folds),
            "accuracy": _mean(right) if right else None,
        },
        "listeners": evaluate.listeners([clip for clip in clips if clip.label in recipe.labels], recipe.labels),
        "protocol": PROTOCOL.format(models=len(folds)) + export.PROTOCOL,
        "split": splits.RELEASE,
        "speakers": {"train": splits.speakers(clips), "test": []},
        "clips": {"train": len(clips), "test": 0},
        "cross_validation": crossed,
    }


def _uar_of_heard(made: Bundle, clips: Sequence[Clip]) -> float:
    labels = made.manifest.labels
    own = {"own": BACKGROUNDS["own"]}
    heard = [clip for clip in clips if clip.label in labels]
    said = evaluate.logits(Classifier(made), score.windows(heard, made.manifest, own)).argmax(axis=1)
    return evaluate.uar(said, score.truth(heard, labels, own))


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 4)
