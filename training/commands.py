"""`moodwire train` and `moodwire evaluate`."""

import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from common import files
from models import bundle
from models.baseline import Reference
from models.bundle import Bundle, BundleError, Manifest
from training import (
    asked,
    card,
    catalogue,
    corpora,
    elsewhere,
    features,
    page,
    recordings,
    results,
    rooms,
    score,
    splits,
    strangers,
)
from training.corpora import Clip, CorpusError
from training.recipe import PeerRecipe, Recipe, RecipeError
from training.results import Elsewhere, ResultsError
from training.settings import EvaluateSettings, TrainSettings
from training.splits import Fold
from training.strangers import Recordings


def train(settings: TrainSettings) -> int:
    """Train a recipe's model and write its bundle; return the exit code, 2 for bad input.

    Each fold is kept in `runs_dir`, so that a cross-validation goes on where it was stopped.
    """
    try:
        plan = asked.plan(settings)
        clips = recordings.read(plan, settings.recordings_dir)
        folds = asked.folds(settings, plan, clips)
        if plan.on_device:
            _train(settings, plan, clips, folds)
        else:
            _measure(settings, plan, clips, folds)
    except (RecipeError, CorpusError, BundleError) as error:
        print(f"moodwire train: {error}", file=sys.stderr)
        return 2
    return 0


def evaluate(settings: EvaluateSettings) -> int:
    """Score a bundle on recordings, and print the scores; return the exit code, 2 for bad input.

    On its own corpus it prints the card with the scores of the speakers that it never heard; on others, and on each of
    several that taught it, a page.
    """
    try:
        made = bundle.load(bundle.find(settings.bundle))
        kept = elsewhere.own(made.manifest, settings.recordings_dir) if settings.write else {}
        for found in _asked(settings, made):
            for sentence in found.passed_over:
                print(f"moodwire evaluate: {sentence}", file=sys.stderr)
            raw = score.predict(made, found.clips, score.windows(found.clips, made.manifest))
            scores = score.measure(made, found.clips, score.calibrated(raw, made.manifest.temperature))
            if catalogue.taught(made.manifest) == (found.corpus,):
                measured = {**made.manifest.measured, **scores}
                print(card.render(msgspec.structs.replace(made.manifest, measured=measured)), end="")
            else:
                scores["in_floors"] = elsewhere.in_floors(made, found.clips)
                scores["levels"] = elsewhere.levels(found.clips)
                calibrated = score.calibrated(raw, made.manifest.temperature)
                scores["after_baseline"] = rooms.after_baseline(calibrated, made.manifest)
                print(page.render(made, found, scores), flush=True)
                if settings.write and _may_be_kept(found, made):
                    kept[found.corpus] = elsewhere.measure(found.clips, scores)
        if kept:
            _write(settings, made, kept)
    except (CorpusError, BundleError, ResultsError) as error:
        print(f"moodwire evaluate: {error}", file=sys.stderr)
        return 2
    return 0


def _asked(settings: EvaluateSettings, made: Bundle) -> Iterator[Recordings]:
    if settings.corpus is None:
        return strangers.all_there(settings.recordings_dir, made)
    return iter([strangers.read(settings.recordings_dir, settings.corpus, made)])


def _may_be_kept(found: Recordings, made: Bundle) -> bool:
    """Return whether figures tell what a model is worth elsewhere: those of known corpora that did not teach it."""
    return found.corpus in catalogue.CORPORA and not catalogue.is_own(found.corpus, made.manifest)


def _write(settings: EvaluateSettings, made: Bundle, kept: dict[str, Elsewhere]) -> None:
    """Keep figures in the file of results, and add those of other corpora to manifest and card."""
    results.write_elsewhere(settings.results_dir, made.manifest.name, kept)
    found = results.read_elsewhere(settings.results_dir)[made.manifest.name]
    others = elsewhere.others(found, made.manifest)
    manifest = msgspec.structs.replace(
        made.manifest,
        measured={**made.manifest.measured, "elsewhere": msgspec.to_builtins(others)},
        baseline=made.manifest.baseline or _reference(settings, made),
    )
    bundle.write_manifest(made.folder, manifest)
    files.replace(made.folder / "CARD.md", card.render(manifest).encode())


def _reference(settings: EvaluateSettings, made: Bundle) -> Reference:
    """Return the baseline's reference of a bundle that is older than baselines: from CREMA-D, which taught those."""
    from training import calibrate  # noqa: PLC0415

    clips = corpora.read_clips(settings.recordings_dir, made.manifest.labels)
    predicted = score.predict(made, clips, score.windows(clips, made.manifest))
    return calibrate.reference(score.calibrated(predicted, made.manifest.temperature), made.manifest.labels)


def _train(settings: TrainSettings, plan: Recipe, clips: Sequence[Clip], folds: Sequence[Fold]) -> None:
    # Bad input is reported before TensorFlow is imported, which takes seconds.
    from training import calibrate, export, release  # noqa: PLC0415

    logging.getLogger("absl").setLevel(logging.WARNING)  # it logs how long each checkpoint took

    runs = settings.runs_dir / plan.folder
    cache = features.FrameCache(clips, plan.front_end, settings.runs_dir)
    done = {}
    for fold in folds:
        finished = _finished(runs / fold.folder, plan, clips, fold)
        done[fold] = finished or export.train_fold(cache, plan, fold, settings.runs_dir)
        print(f"{fold.title(plan)}: UAR {done[fold].measured['uar']:.3f}", flush=True)
    done = calibrate.calibrate(done, runs, plan.uncertain_share)
    if not asked.makes_bundle(settings, plan):
        return
    if settings.release:
        made = release.train(cache, plan, done, settings.runs_dir)
    else:
        held_out = asked.held_out(settings, plan, clips)
        made = bundle.load(runs / Fold(held_out, plan.seed, settings.split).folder)
        if settings.cross_validate:
            measured = {**made.manifest.measured, "cross_validation": release.cross_validation(done, plan)}
            made = msgspec.structs.replace(made, manifest=msgspec.structs.replace(made.manifest, measured=measured))
    folder = settings.bundle_dir or runs / "bundle"
    export.write(msgspec.structs.replace(made, folder=folder))
    print(f"wrote {folder}")


def _measure(settings: TrainSettings, plan: Recipe, clips: Sequence[Clip], folds: Sequence[Fold]) -> None:
    """Measure a system that no device can run, fold by fold."""
    from training import measure  # noqa: PLC0415

    assert isinstance(plan, PeerRecipe)  # only these hear what no device computes
    if settings.bundle_dir or settings.release:
        raise RecipeError(f"{asked.only_measured(plan)}: leave out bundle_dir and release")
    print(asked.only_measured(plan), flush=True)
    cache = measure.FeatureCache(clips, plan, settings.runs_dir)
    for fold in folds:
        done = measure.measure_fold(cache, plan, fold, settings.runs_dir)
        print(f"{fold.title(plan)}: UAR {done.measured['uar']:.3f}", flush=True)


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
