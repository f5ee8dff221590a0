"""One fold from clips to a bundle: train, quantise, calibrate, score on unheard speakers, write."""

import hashlib
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
from training import card, corpora, evaluate, features, fit, quantise, splits
from training.backgrounds import BACKGROUNDS
from training.corpora import Clip
from training.evaluate import Truth
from training.recipe import Recipe
from training.splits import Split

PROTOCOL = (
    "Split by speaker: one block of actors is held out for the score, a sixth of each other block for calibration, "
    "all others train. Temperature and threshold come from the calibration speakers; the last epoch's weights are "
    "used. Each clip is heard in the middle of one window, once amid each of the backgrounds below, and all windows "
    "count alike. Truth is the emotion that the actor was told to portray. Scored on the exported int8 file through "
    "the runtime of the device."
)
REPRESENTATIVE_CLIPS = 50
"""Training clips shown to the quantiser, amid each background."""


def train_fold(clips: Sequence[Clip], recipe: Recipe, test_block: int, folder: Path) -> Manifest:
    """Train with one block of speakers held out, write the bundle into a folder, and return its manifest.

    Raises:
        CorpusError: a block has no clips, or a recording is corrupt.
    """
    split = splits.by_speaker(clips, test_block)
    variants = [features.training_frames(split.train, recipe, speed) for speed in recipe.augment.speeds]
    model = fit.fit(variants, features.targets(split.train, recipe.labels), recipe)
    chosen = np.random.default_rng(recipe.seed).permutation(len(split.train))[:REPRESENTATIVE_CLIPS]
    shown = [normalise(window) for window in _windows([split.train[number] for number in chosen], recipe)]
    content = quantise.to_int8(model, np.stack(shown)[..., None])
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
        data_sha256=corpora.digest(split.train),
        sparsity=fit.sparsity(model),
        measured={},
    )
    manifest = _calibrate(Bundle(folder, manifest, content), split.dev, recipe)
    measured = _measure(Bundle(folder, manifest, content), model, split, recipe)
    manifest = msgspec.structs.replace(manifest, measured=measured)
    write(Bundle(folder, manifest, content))
    return manifest


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


def _windows(clips: Sequence[Clip], recipe: Recipe) -> list[Frames]:
    """Return a window for each background and clip, all clips amid the first background first."""
    return [
        window for background in BACKGROUNDS.values() for window in features.centred_windows(clips, recipe, background)
    ]


def _truth(clips: Sequence[Clip], recipe: Recipe) -> Truth:
    """Return the class of each of these windows."""
    return np.tile(features.targets(clips, recipe.labels), len(BACKGROUNDS))


def _calibrate(made: Bundle, dev: Sequence[Clip], recipe: Recipe) -> Manifest:
    outputs = evaluate.logits(Classifier(made), _windows(dev, recipe))
    temperature = evaluate.fit_temperature(outputs, _truth(dev, recipe))
    confidence = softmax(outputs / temperature).max(axis=1)
    return msgspec.structs.replace(
        made.manifest,
        temperature=round(temperature, 4),
        uncertain_below=round(float(np.quantile(confidence, recipe.uncertain_share)), 4),
    )


def _measure(made: Bundle, model: Any, split: Split, recipe: Recipe) -> dict[str, Any]:
    windows, truth = _windows(split.test, recipe), _truth(split.test, recipe)
    scores = softmax(evaluate.logits(Classifier(made), windows) / made.manifest.temperature)
    answers = scores.argmax(axis=1)
    sure = scores.max(axis=1) >= made.manifest.uncertain_below
    speakers = np.tile([clip.speaker for clip in split.test], len(BACKGROUNDS))
    sexes = np.tile([clip.sex for clip in split.test], len(BACKGROUNDS))
    names = np.repeat(list(BACKGROUNDS), len(split.test))
    float_outputs = model.predict(np.stack([normalise(window) for window in windows])[..., None], verbose=0)
    return {
        "protocol": PROTOCOL,
        "speakers": {
            part: splits.speakers(clips)
            for part, clips in (("train", split.train), ("dev", split.dev), ("test", split.test))
        },
        "clips": {"train": len(split.train), "dev": len(split.dev), "test": len(split.test)},
        **msgspec.to_builtins(evaluate.metrics(scores, truth, recipe.labels)),
        "uar_interval": evaluate.uar_interval(answers, truth, speakers),
        "uar_by_background": _uar_by(names, answers, truth),
        "uar_by_sex": _uar_by(sexes, answers, truth),
        "float_uar": evaluate.uar(float_outputs.argmax(axis=1), truth),
        "sure": {
            "share": float(sure.mean()),
            "accuracy": float((answers == truth)[sure].mean()) if sure.any() else None,
        },
        "listeners": evaluate.listeners(split.test, recipe.labels),
        "parameters": model.count_params(),
        "bytes": len(made.model),
        "bytes_deflated": len(zlib.compress(made.model, 9)),
    }


def _uar_by(groups: NDArray[np.str_], answers: NDArray[np.intp], truth: Truth) -> dict[str, float]:
    """Return the UAR within each group of windows, in the order in which they first occur."""
    chosen = {group: groups == group for group in dict.fromkeys(groups.tolist())}
    return {group: evaluate.uar(answers[rows], truth[rows]) for group, rows in chosen.items()}
