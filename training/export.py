"""One fold from clips to a bundle: train, quantise, calibrate, score on unheard speakers, write."""

import hashlib
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models import bundle, runtime
from models.bundle import Bundle, Manifest
from models.frontend import Frames, normalise
from models.runtime import Classifier, softmax
from training import card, corpora, evaluate, features, fit, quantise, score, splits
from training.backgrounds import BACKGROUNDS
from training.batches import Batches
from training.corpora import Clip
from training.features import Material
from training.fit import Heard
from training.recipe import Recipe, RecipeError
from training.splits import Fold, Split

PROTOCOL = (
    "Split by speaker: one block of actors is held out for the score, a sixth of each other block for calibration, "
    "all others train. Temperature and threshold come from the calibration speakers; the last epoch's weights are "
    "used. Each clip is heard in the middle of one window, once amid each of the backgrounds below, and all windows "
    "count alike. Truth is the emotion that the actor was told to portray. Scored on the exported int8 file through "
    "the runtime of the device."
)
LEAKY = (
    "LEAKY: split at random by file, so the speakers of the score have trained the model too; only to be compared with "
    "other numbers made so. A quarter of the files is scored, a sixth of the others calibrates, the rest trains; all "
    "else is as with a split by speaker."
)
SENTENCES = (
    " Beside the speakers, a quarter of the sentences is held out: nobody says them in training or calibration, and "
    "only they are scored."
)
PROTOCOLS = {"speakers": PROTOCOL, "sentences": PROTOCOL + SENTENCES, "leaky": LEAKY}
REPRESENTATIVE_CLIPS = 50
"""Training clips shown to the quantiser, amid each background."""


def train_fold(material: Material, recipe: Recipe, fold: Fold, folder: Path) -> Manifest:
    """Train with one block of speakers held out, write the bundle into a folder, and return its manifest.

    Args:
        material: what there is to hear, of all blocks.
        recipe: what to do.
        fold: whom not to hear.
        folder: of this training alone; one that was stopped goes on from what it finds there.

    Raises:
        CorpusError: a block has no clips, or a recording is corrupt.
        RecipeError: the folder is that of another recipe.
    """
    split = splits.of(material.clips, fold, recipe).scored_on(recipe.labels)
    made, model = learn(material, recipe, split, fold.seed, folder)
    made = msgspec.structs.replace(made, manifest=_calibrate(made, split.dev, recipe))
    found = score.answers(made, split.test)
    score.save(folder, found)
    measured = {
        **made.manifest.measured,
        **_facts(model, split, recipe, fold),
        **score.measure(made, split.test, found),
    }
    manifest = msgspec.structs.replace(made.manifest, measured=measured)
    write(Bundle(folder, manifest, made.model))
    shutil.rmtree(folder / fit.CHECKPOINT)
    return manifest


def learn(material: Material, recipe: Recipe, split: Split, seed: int, folder: Path) -> tuple[Bundle, Any]:
    """Train, and return a bundle that is not written, calibrated or scored yet, with its Keras model.

    Args:
        material: what there is to hear.
        recipe: what to do.
        split: which of it to learn from; its calibration clips, if there are any, are in the curves.
        seed: of all chance.
        folder: of this training alone; one that was stopped goes on from what it finds there.

    Raises:
        RecipeError: the folder is that of another recipe.
    """
    train = split.train
    _claim(folder, recipe, train)
    chosen = np.flatnonzero([clip in train for clip in material.clips])
    truth = np.eye(len(recipe.learned), dtype=np.float32)[features.targets(train, recipe.learned)]
    batches = Batches(material.banks, chosen, truth, recipe, seed)
    model = fit.fit(batches, _dev(split, recipe) if split.dev else None, recipe, seed, folder)
    content = _converted(model, train, recipe, seed)
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
        data_sha256=corpora.digest(train),
        sparsity=fit.sparsity(model),
        measured={
            "architecture": recipe.network.title,
            "integer": recipe.integer,
            "learned": recipe.learned,
            "parameters": model.count_params(),
            "bytes": len(content),
            "bytes_deflated": len(zlib.compress(content, 9)),
        },
    )
    return Bundle(folder, manifest, content), model


def _converted(model: Any, train: Sequence[Clip], recipe: Recipe, seed: int) -> bytes:
    if not recipe.integer:
        return quantise.to_float32(model)
    shown = np.random.default_rng(seed).permutation(len(train))[:REPRESENTATIVE_CLIPS]
    return quantise.to_int8(model, _normalised(score.windows([train[number] for number in shown], recipe)))


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
    Classifier(bundle.load(made.folder)).verify()


def _claim(folder: Path, recipe: Recipe, train: Sequence[Clip]) -> None:
    """Write down whose checkpoints and curves these are, and drop those of other recordings.

    Raises:
        RecipeError: the folder is that of another recipe.
    """
    told = msgspec.json.format(msgspec.json.encode({"data_sha256": corpora.digest(train), "recipe": recipe}), indent=2)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "config.json"
    if not file.is_file() or file.read_bytes() != told:
        _refuse_another_recipes(file, recipe)
        shutil.rmtree(folder / fit.CHECKPOINT, ignore_errors=True)
    if not (folder / fit.CHECKPOINT).is_dir():
        (folder / fit.CURVES).unlink(missing_ok=True)
    file.write_bytes(told)


def _refuse_another_recipes(file: Path, recipe: Recipe) -> None:
    if not file.is_file():
        return
    try:
        told = msgspec.json.decode(file.read_bytes())["recipe"]
    except (msgspec.DecodeError, KeyError) as error:
        raise RecipeError(f"{file} tells no recipe: {error}; move {file.parent} away") from error
    if told != msgspec.json.decode(msgspec.json.encode(recipe)):
        raise RecipeError(
            f"{file.parent} is the run folder of another recipe than {recipe.name}: move it away, or give another "
            "runs_dir"
        )


def _dev(split: Split, recipe: Recipe) -> Heard:
    """Return the calibration speakers' clips amid their own background, to watch the training with."""
    windows = features.centred_windows(split.dev, recipe, BACKGROUNDS["own"])
    return Heard(_normalised(windows), features.targets(split.dev, recipe.labels))


def _normalised(windows: Sequence[Frames]) -> NDArray[np.float32]:
    return np.stack([normalise(window) for window in windows])[..., None]


def _calibrate(made: Bundle, dev: Sequence[Clip], recipe: Recipe) -> Manifest:
    outputs = evaluate.logits(Classifier(made), score.windows(dev, recipe))
    temperature = evaluate.fit_temperature(outputs, score.truth(dev, recipe.labels))
    confidence = softmax(outputs / temperature).max(axis=1)
    return msgspec.structs.replace(
        made.manifest,
        temperature=round(temperature, 4),
        uncertain_below=round(float(np.quantile(confidence, recipe.uncertain_share)), 4),
    )


def _facts(model: Any, split: Split, recipe: Recipe, fold: Fold) -> dict[str, Any]:
    outputs = model.predict(_normalised(score.windows(split.test, recipe)), verbose=0)
    return {
        "protocol": PROTOCOLS[fold.split],
        "split": fold.split,
        "speakers": {
            part: splits.speakers(clips)
            for part, clips in (("train", split.train), ("dev", split.dev), ("test", split.test))
        },
        "clips": {"train": len(split.train), "dev": len(split.dev), "test": len(split.test)},
        "float_uar": evaluate.uar(outputs.argmax(axis=1), score.truth(split.test, recipe.labels)),
    }
