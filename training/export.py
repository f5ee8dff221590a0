"""One fold from clips to a bundle: train, quantise, calibrate, score on unheard speakers, write."""

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from models import bundle, runtime
from models.bundle import Bundle, Manifest
from models.frontend import Frames, standardise
from models.runtime import Classifier, softmax
from training import card, corpora, evaluate, features, fit, quantise, splits
from training.corpora import Clip
from training.recipe import Recipe
from training.splits import Split

PROTOCOL = (
    "Split by speaker: one block of actors is held out for the score, half of the next block for calibration, "
    "all others train. Temperature and threshold come from the calibration speakers; the last epoch's weights are "
    "used. One window per clip, the clip in its middle amid noise like its own background. Truth is the emotion that "
    "the actor was told to portray. Scored on the exported int8 file through the runtime of the device."
)
REPRESENTATIVE_WINDOWS = 300
"""Training windows shown to the quantiser."""


def train_fold(clips: Sequence[Clip], recipe: Recipe, test_block: int, folder: Path) -> Manifest:
    """Train with one block of speakers held out, write the bundle into a folder, and return its manifest.

    Raises:
        CorpusError: a block has no clips, or a recording is corrupt.
    """
    split = splits.by_speaker(clips, test_block)
    variants = [features.padded_frames(split.train, recipe, speed) for speed in recipe.augment.speeds]
    model = fit.fit(variants, features.targets(split.train, recipe.labels), recipe)
    train_windows = _windows(split.train, recipe)
    chosen = np.random.default_rng(recipe.seed).permutation(len(train_windows))[:REPRESENTATIVE_WINDOWS]
    content = quantise.to_int8(model, np.stack([standardise(train_windows[number])[..., None] for number in chosen]))
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
    measured = _measure(Bundle(folder, manifest, content), split, recipe)
    measured["float_uar"] = _float_uar(model, split.test, recipe)
    measured["parameters"] = model.count_params()
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
    return [features.middle(frames, recipe.window_frames) for frames in features.padded_frames(clips, recipe)]


def _calibrate(made: Bundle, dev: Sequence[Clip], recipe: Recipe) -> Manifest:
    outputs = evaluate.logits(Classifier(made), _windows(dev, recipe))
    temperature = evaluate.fit_temperature(outputs, features.targets(dev, recipe.labels))
    confidence = softmax(outputs / temperature).max(axis=1)
    return msgspec.structs.replace(
        made.manifest,
        temperature=round(temperature, 4),
        uncertain_below=round(float(np.quantile(confidence, recipe.uncertain_share)), 4),
    )


def _measure(made: Bundle, split: Split, recipe: Recipe) -> dict[str, Any]:
    truth = features.targets(split.test, recipe.labels)
    outputs = evaluate.logits(Classifier(made), _windows(split.test, recipe))
    scores = softmax(outputs / made.manifest.temperature)
    answers = scores.argmax(axis=1)
    sure = scores.max(axis=1) >= made.manifest.uncertain_below
    sexes = np.array([clip.sex for clip in split.test])
    return {
        "protocol": PROTOCOL,
        "speakers": {
            part: splits.speakers(clips)
            for part, clips in (("train", split.train), ("dev", split.dev), ("test", split.test))
        },
        "clips": {"train": len(split.train), "dev": len(split.dev), "test": len(split.test)},
        **msgspec.to_builtins(evaluate.metrics(scores, truth, recipe.labels)),
        "uar_interval": evaluate.uar_interval(answers, truth, np.array([clip.speaker for clip in split.test])),
        "uar_by_sex": {
            sex: evaluate.uar(answers[sexes == sex], truth[sexes == sex]) for sex in sorted(set(sexes.tolist()))
        },
        "sure": {
            "share": float(sure.mean()),
            "accuracy": float((answers == truth)[sure].mean()) if sure.any() else None,
        },
        "listeners": evaluate.listeners(split.test, recipe.labels),
        "bytes": len(made.model),
        "bytes_deflated": len(zlib.compress(made.model, 9)),
    }


def _float_uar(model: Any, clips: Sequence[Clip], recipe: Recipe) -> float:
    windows = np.stack([standardise(window) for window in _windows(clips, recipe)])[..., None]
    return evaluate.uar(model.predict(windows, verbose=0).argmax(axis=1), features.targets(clips, recipe.labels))
