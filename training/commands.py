"""`moodwire train` and `moodwire evaluate`."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from models import bundle
from models.bundle import Bundle, BundleError, Manifest
from training import card, corpora, features, folders, ravdess, recipe, score, splits
from training.corpora import Clip, CorpusError
from training.recipe import Recipe, RecipeError
from training.settings import EvaluateSettings, TrainSettings
from training.splits import Fold


def train(settings: TrainSettings) -> int:
    """Train a recipe's model and write its bundle; return the exit code, 2 for bad input.

    Each fold is kept in `runs_dir`, so that a cross-validation goes on where it was stopped.
    """
    try:
        plan = recipe.load(settings.recipe)
        clips = corpora.read_clips(settings.recordings_dir, plan.clip_labels)
        _train(settings, plan, clips)
    except (RecipeError, CorpusError, BundleError) as error:
        print(f"moodwire train: {error}", file=sys.stderr)
        return 2
    return 0


def evaluate(settings: EvaluateSettings) -> int:
    """Score a bundle on speakers it never heard, and print the scores; return the exit code, 2 for bad input.

    On its own corpus it prints the card; on another one, the results part of a card.
    """
    try:
        made = bundle.load(bundle.find(settings.bundle))
        test = _test_clips(settings, made)
        raw = score.predict(made, test, score.windows(test, made.manifest))
        scores = score.measure(made, test, score.calibrated(raw, made.manifest.temperature))
    except (CorpusError, BundleError) as error:
        print(f"moodwire evaluate: {error}", file=sys.stderr)
        return 2
    if settings.corpus == "crema-d":
        measured = {**made.manifest.measured, **scores}
        print(card.render(msgspec.structs.replace(made.manifest, measured=measured)), end="")
    else:
        print(card.elsewhere(made.manifest, settings.corpus, len(test), scores), end="")
    return 0


def _test_clips(settings: EvaluateSettings, made: Bundle) -> list[Clip]:
    labels = made.manifest.labels
    if settings.corpus == "crema-d":
        return score.unheard(corpora.read_clips(settings.recordings_dir, labels), made)
    if settings.corpus == "ravdess":
        return ravdess.read_clips(settings.recordings_dir, labels)
    return folders.read_clips(Path(settings.corpus), labels)


def _train(settings: TrainSettings, plan: Recipe, clips: Sequence[Clip]) -> None:
    # Bad input is reported before TensorFlow is imported, which takes seconds.
    from training import calibrate, export, release  # noqa: PLC0415

    logging.getLogger("absl").setLevel(logging.WARNING)  # it logs how long each checkpoint took

    runs = settings.runs_dir / plan.folder
    held_out = settings.block or plan.test_block
    blocks = sorted(splits.BLOCKS) if settings.cross_validate or settings.release else [held_out]
    folds = [Fold(block, plan.seed + number, settings.split) for block in blocks for number in range(settings.seeds)]
    cache = features.FrameCache(clips, plan.front_end, settings.runs_dir)
    done = {}
    for fold in folds:
        finished = _finished(runs / fold.folder, plan, clips, fold)
        done[fold] = finished or export.train_fold(cache, plan, fold, settings.runs_dir)
        print(f"{fold.title}: UAR {done[fold].measured['uar']:.3f}", flush=True)
    done = calibrate.calibrate(done, runs, plan.uncertain_share)
    if settings.split != "speakers":
        return
    if settings.release:
        made = release.train(cache, plan, done, settings.runs_dir)
    else:
        made = bundle.load(runs / Fold(held_out, plan.seed).folder)
        if settings.cross_validate:
            measured = {**made.manifest.measured, "cross_validation": release.cross_validation(done)}
            made = msgspec.structs.replace(made, manifest=msgspec.structs.replace(made.manifest, measured=measured))
    folder = settings.bundle_dir or runs / "bundle"
    export.write(msgspec.structs.replace(made, folder=folder))
    print(f"wrote {folder}")


def _finished(folder: Path, plan: Recipe, clips: Sequence[Clip], fold: Fold) -> Manifest | None:
    """Return the manifest of a fold that this recipe has trained on these recordings; None where there is none."""
    try:
        made = bundle.load(folder)
    except BundleError:
        return None
    split = splits.of(clips, fold, plan)
    data = corpora.digest(split.train, votes=plan.votes > 0)
    manifest = made.manifest
    if (manifest.recipe_sha256, manifest.data_sha256) != (plan.sha256, data):
        return None
    if not (folder / score.FILE).is_file():
        score.save(folder, score.predict(made, split.test, score.windows(split.test, made.manifest)))
    return manifest
