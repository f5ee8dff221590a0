"""One fold from clips to a bundle: train, quantise, score on unheard speakers, write."""

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from models import bundle, runtime
from models.bundle import Bundle, Manifest
from models.frontend import Frames
from models.runtime import Classifier, load_verified
from training import card, corpora, evaluate, features, fit, quantise, rounding, score, splits
from training import recipe as recipes
from training.corpora import Clip
from training.evaluate import Truth
from training.features import Material
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
"""Training clips shown to the quantiser, amid each background."""


def train_fold(material: Material, recipe: Recipe, fold: Fold, runs_dir: Path) -> Manifest:
    """Train with some clips held out, score on them, write the bundle into its run folder, and return its manifest.

    It has no temperature and no threshold yet.

    Args:
        material: what there is to hear, of all blocks.
        recipe: what to do.
        fold: whom not to hear.
        runs_dir: where trainings are kept; one that was stopped goes on.

    Raises:
        CorpusError: a block has no clips, or a recording is corrupt.
        RecipeError: the run folder is that of another recipe.
    """
    split = splits.of(material.clips, fold, recipe).scored_on(recipe.labels)
    model = fit.load(recipe, learn(material, recipe, split, fold, runs_dir), recipe.labels)
    made = bundled(model, recipe, split.train, fold, runs_dir)
    heard = score.windows(split.test, recipe)
    found = score.answers(made, split.test, heard)
    score.save(made.folder, found)
    measured = {
        **made.manifest.measured,
        **_facts(split, fold),
        "float_uar": _uar(model, heard, score.truth(split.test, recipe.labels)),
        **score.measure(made, split.test, found),
    }
    manifest = msgspec.structs.replace(made.manifest, measured=measured)
    write(msgspec.structs.replace(made, manifest=manifest))
    return manifest


def bundled(model: Any, recipe: Recipe, train: Sequence[Clip], fold: Fold, runs_dir: Path) -> Bundle:
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
            "integer": recipe.integer,
            "four_bits": recipe.levels <= rounding.INT4_LEVELS,
            "heard": recipe.heard,
            "votes": recipe.votes > 0,
            "teachers": _teachers(recipe),
            "parameters": model.count_params(),
            "bytes": len(content),
            "bytes_deflated": len(zlib.compress(content, 9)),
        },
    )
    return Bundle(runs_dir / recipe.folder / fold.folder, manifest, content)


def _teachers(recipe: Recipe) -> str | None:
    teacher = recipes.teacher(recipe)
    if recipe.teaching is None or teacher is None:
        return None
    count = recipe.teaching.seeds
    return f"{count} network{'s' * (count > 1)} of {teacher.name}"


def _converted(model: Any, train: Sequence[Clip], recipe: Recipe, seed: int) -> bytes:
    if not recipe.integer:
        return quantise.to_float32(model)
    shown = np.random.default_rng(seed).permutation(len(train))[:REPRESENTATIVE_CLIPS]
    windows = score.windows([train[number] for number in shown], recipe)
    return quantise.to_int8(model, features.normalised(windows), recipe.levels)


def write(made: Bundle) -> None:
    """Write a bundle's four files into its folder, and check that the device could load them."""
    made.folder.mkdir(parents=True, exist_ok=True)
    (made.folder / "model.tflite").write_bytes(made.model)
    bundle.write_manifest(made.folder, made.manifest)
    clip = runtime.synthetic_clip(made.manifest.window_samples)
    frames = made.manifest.front_end.log_mel(clip)
    classifier = Classifier(made)
    np.savez_compressed(made.golden_file, clip=clip, features=frames, scores=classifier.scores(frames))
    (made.folder / "CARD.md").write_text(card.render(made.manifest), encoding="utf-8")
    load_verified(made.folder)


def _facts(split: Split, fold: Fold) -> dict[str, Any]:
    return {
        "protocol": PROTOCOLS[fold.split],
        "split": fold.split,
        "speakers": {part: splits.speakers(clips) for part, clips in (("train", split.train), ("test", split.test))},
        "clips": {"train": len(split.train), "test": len(split.test)},
    }


def _uar(model: Any, heard: Sequence[Frames], meant: Truth) -> float:
    """Return the UAR of a Keras model on windows whose truth is known."""
    outputs = model.predict(features.normalised(heard), verbose=0)
    return evaluate.uar(outputs.argmax(axis=1), meant)
