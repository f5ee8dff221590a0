"""What `moodwire train` does."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from models import bundle
from models.bundle import Bundle, BundleError, Manifest
from training import corpora, recipe, splits
from training.corpora import Clip, CorpusError
from training.recipe import Recipe, RecipeError
from training.settings import TrainSettings


def train(settings: TrainSettings) -> int:
    """Train a recipe's model and write its bundle; return the exit code, 2 for bad input.

    Each fold is kept in `runs_dir`, so that a cross-validation goes on where it was stopped.
    """
    try:
        plan = recipe.load(settings.recipe)
        clips = corpora.read_clips(settings.recordings_dir, plan.labels)
        _train(settings, plan, clips)
    except (RecipeError, CorpusError, BundleError) as error:
        print(f"moodwire train: {error}", file=sys.stderr)
        return 2
    return 0


def _train(settings: TrainSettings, plan: Recipe, clips: Sequence[Clip]) -> None:
    from training import export  # noqa: PLC0415 - TensorFlow takes seconds to import; bad input is told at once

    runs = settings.runs_dir / f"{plan.name}-{plan.sha256[:8]}"
    blocks = sorted(splits.BLOCKS) if settings.cross_validate else [plan.test_block]
    folds: dict[int, Manifest] = {}
    for block in blocks:
        folder = runs / f"block-{block}"
        folds[block] = _finished(folder, plan, clips, block) or export.train_fold(clips, plan, block, folder)
        print(f"speakers {_span(splits.BLOCKS[block])} held out: UAR {folds[block].measured['uar']:.3f}", flush=True)
    shipped = bundle.load(runs / f"block-{plan.test_block}")
    manifest = shipped.manifest
    if settings.cross_validate:
        measured = {**manifest.measured, "cross_validation": cross_validation(folds)}
        manifest = msgspec.structs.replace(manifest, measured=measured)
    folder = settings.bundle_dir or runs / "bundle"
    export.write(Bundle(folder, manifest, shipped.model))
    print(f"wrote {folder}")


def cross_validation(folds: dict[int, Manifest]) -> dict[str, Any]:
    """Return the recipe's scores with each block of speakers held out in turn."""
    uars = [fold.measured["uar"] for fold in folds.values()]
    return {
        "uar": float(np.mean(uars)),
        "uar_deviation": float(np.std(uars, ddof=1)),
        "float_uar": float(np.mean([fold.measured["float_uar"] for fold in folds.values()])),
        "accuracy": float(np.mean([fold.measured["accuracy"] for fold in folds.values()])),
        "folds": [
            {
                "speakers": _span(splits.BLOCKS[block]),
                "uar": fold.measured["uar"],
                "float_uar": fold.measured["float_uar"],
            }
            for block, fold in folds.items()
        ],
    }


def _finished(folder: Path, plan: Recipe, clips: Sequence[Clip], block: int) -> Manifest | None:
    """Return the manifest of a fold that was trained before by this recipe on these recordings."""
    try:
        manifest = bundle.load(folder).manifest
    except BundleError:
        return None
    data_sha256 = corpora.digest(splits.by_speaker(clips, block).train)
    same = manifest.recipe_sha256 == plan.sha256 and manifest.data_sha256 == data_sha256
    return manifest if same else None


def _span(block: range) -> str:
    return f"{block[0]}-{block[-1]}"
