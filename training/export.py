"""From the clips of a fold to its bundle: train, quantise, score on unheard speakers, write."""

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from common import files
from models import bundle, runtime
from models.bundle import Bundle, Manifest
from models.frontend import Frames
from models.runtime import Classifier, load_verified
from training import card, catalogue, corpora, evaluate, features, fit, quantise, rounding, score, splits
from training import recipe as recipes
from training.corpora import Clip
from training.evaluate import Truth
from training.features import FrameCache
from training.learn import learn
from training.recipe import Recipe
from training.splits import Fold, Split

PROTOCOL = (
    "Split by speaker: one block of actors is held out for the score, all others train; the last epoch's weights are "
    "used. Each clip is heard in the middle of one window, once amid each of the backgrounds below, and all windows "
    "count alike. Truth is what the actor was told to portray. Scored on the exported int8 file through the runtime of "
    "the device."
)
LEAKY = (
    "LEAKY: split at random by file, so the speakers of the score have trained the model too; only to be compared with "
    "other numbers made so. A quarter of the files is scored, the rest trains; all else is as with a split by speaker."
)
SENTENCES = (
    " Beside the speakers, a quarter of the sentences is held out: nobody says them in training, and only they are "
    "scored."
)
PROTOCOLS = {"speakers": PROTOCOL, "sentences": PROTOCOL + SENTENCES, "leaky": LEAKY}
REPRESENTATIVE_CLIPS = 50
"""Training clips from which the quantiser takes the range of activations, with each background."""


def train_fold(cache: FrameCache, recipe: Recipe, fold: Fold, runs_dir: Path) -> Manifest:
    """Train with some clips held out, score on them, write the bundle into its run folder, and return its manifest.

    Its temperature is 1 and its threshold 0 until `calibrate` sets them.

    Args:
        cache: frames of all clips, of all blocks.
        recipe: what to train.
        fold: what to hold out, and the seed.
        runs_dir: holds the trainings; one that was stopped goes on.

    Raises:
        CorpusError: a block has no clips, or a recording is corrupt.
        RecipeError: the run folder is that of another recipe.
    """
    split = splits.of(cache.clips, fold, recipe).scored_on(recipe.labels)
    model = fit.load(recipe, learn(cache, recipe, split, fold, runs_dir), recipe.labels)
    made = quantised(model, recipe, split.train, fold, runs_dir)
    windows = score.windows(split.test, recipe)
    predicted = score.predict(made, split.test, windows)
    score.save(made.folder, predicted)
    measured = {
        **made.manifest.measured,
        **_split_facts(split, fold),
        "float_uar": _float_uar(model, windows, score.truth(split.test, recipe.labels)),
        **score.measure(made, split.test, predicted),
    }
    manifest = msgspec.structs.replace(made.manifest, measured=measured)
    write(msgspec.structs.replace(made, manifest=manifest))
    return manifest


def quantised(model: Any, recipe: Recipe, train: Sequence[Clip], fold: Fold, runs_dir: Path) -> Bundle:
    """Return a trained Keras model as a bundle that is not calibrated, scored or written yet."""
    content = _converted(model, train, recipe, fold.seed)
    manifest = Manifest(
        name=recipe.name,
        labels=recipe.labels,
        front_end=recipe.front_end,
        window_ms=recipe.window_ms,
        hop_ms=recipe.hop_ms,
        temperature=1.0,
        uncertain_below=0.0,
        model_sha256=hashlib.sha256(content).hexdigest(),
        recipe_sha256=recipe.sha256,
        data_sha256=corpora.digest(train, votes=recipe.votes > 0),
        sparsity=fit.sparsity(model),
        measured={
            "architecture": recipe.network.title,
            **({} if recipe.corpora == (catalogue.TAUGHT_BY,) else {"corpora": _corpora(recipe)}),
            **({"start": recipe.start} if recipe.start else {}),
            "integer": recipe.integer,
            "four_bits": recipe.levels <= rounding.INT4_LEVELS,
            "heard": recipe.clip_labels,
            "votes": recipe.votes > 0,
            "teachers": _teachers(recipe),
            "parameters": model.count_params(),
            "bytes": len(content),
            "bytes_deflated": len(zlib.compress(content, 9)),
        },
    )
    return Bundle(runs_dir / recipe.folder / fold.folder, manifest, content)


def _corpora(recipe: Recipe) -> dict[str, Any]:
    """Return what the manifest tells of each corpus: on what terms one may use what learned from it."""
    found = {}
    for name in recipe.corpora:
        if corpus := catalogue.CORPORA.get(name):
            found[name] = {"title": corpus.title, "licence": corpus.licence, "commercial": corpus.commercial}
        else:
            found[Path(name).stem] = {
                "title": Path(name).stem,
                "licence": "recordings of one's own",
                "commercial": None,
            }
    return found


def _teachers(recipe: Recipe) -> str | None:
    if recipe.teaching is None:
        return None
    count = recipe.teaching.seeds
    found = [recipes.WHISPER] if recipe.teaching.whisper else []
    if teacher := recipes.teacher(recipe):
        found.insert(0, f"{count} network{'s' * (count > 1)} of {teacher.name}")
    return " and ".join(found)


def _converted(model: Any, train: Sequence[Clip], recipe: Recipe, seed: int) -> bytes:
    if not recipe.integer:
        return quantise.to_float32(model)
    chosen = np.random.default_rng(seed).permutation(len(train))[:REPRESENTATIVE_CLIPS]
    windows = score.windows([train[index] for index in chosen], recipe)
    return quantise.to_int8(model, features.normalised(windows), recipe.levels)


def write(made: Bundle) -> None:
    """Write a bundle's four files into its folder, and check that a device can load them."""
    files.replace(made.folder / "model.tflite", made.model)
    bundle.write_manifest(made.folder, made.manifest)
    clip = runtime.synthetic_clip(made.manifest.window_samples)
    frames = made.manifest.front_end.log_mel(clip)
    classifier = Classifier(made)
    np.savez_compressed(made.golden_file, clip=clip, features=frames, scores=classifier.scores(frames))
    files.replace(made.folder / "CARD.md", card.render(made.manifest).encode())
    load_verified(made.folder)


def _split_facts(split: Split, fold: Fold) -> dict[str, Any]:
    return {
        "protocol": PROTOCOLS[fold.split],
        "split": fold.split,
        "speakers": {part: splits.speakers(clips) for part, clips in (("train", split.train), ("test", split.test))},
        "clips": {"train": len(split.train), "test": len(split.test)},
    }


def _float_uar(model: Any, windows: Sequence[Frames], truth: Truth) -> float:
    """Return the UAR of the Keras model before quantisation."""
    logits = model.predict(features.normalised(windows), verbose=0)
    return evaluate.uar(logits.argmax(axis=1), truth)
