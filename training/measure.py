"""Measures the systems that hear what no device computes: features, training and scores of a fold, without a bundle."""

import hashlib
import pickle
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tf_keras
from numpy.typing import NDArray
from tf_keras import layers
from tqdm import tqdm

from common import files
from common.decoding import JSON_ERRORS
from models.frontend import SAMPLE_RATE_HZ
from models.runtime import softmax, synthetic_clip
from training import catalogue, classical, corpora, features, fit, learn, peer_network, peers, quantise, score, splits
from training.architectures import Classical, Conv1d
from training.corpora import Clip
from training.heard import Features, Values, rendered
from training.recipe import PeerRecipe
from training.results import MEASURED, Measured
from training.splits import Fold, Split

DEV_SHARE = 0.1
"""Of the training clips, on which the epoch is chosen."""
REPRESENTATIVE_CLIPS = 50
"""Training clips from which the quantiser takes the range of activations."""
PROTOCOLS = {
    "speakers": "Split by speaker: one block of speakers is held out for the score, all others train.",
    "sentences": "Split by speaker and sentence: nobody says what is scored in training.",
    "leaky": "LEAKY: split at random by file, so the speakers of the score have trained the model too.",
    "copies": "LEAKY: altered copies of each recording were made before a random split, so copies of what is scored "
    "have trained the model.",
    "order": "LEAKY: the first four fifths of the list of files train, and its last fifth is scored.",
}


class FeatureCache:
    """The features of all clips and of their altered copies, computed once, and kept on disk."""

    def __init__(self, clips: Sequence[Clip], recipe: PeerRecipe, runs_dir: Path) -> None:
        """Compute nothing yet.

        Args:
            clips: all clips of the recipe.
            recipe: its features and altered copies.
            runs_dir: its folder `features` keeps what was computed.
        """
        assert recipe.features is not None  # else the recipe is trained as ours are
        self.heard: Features = recipe.features
        self.clips = clips
        self._kinds = recipe.renderings
        self._folder = runs_dir / features.FOLDER
        self._places = {clip.path: place for place, clip in enumerate(clips)}
        self._values: dict[int, Values] = {}

    def of(self, clips: Sequence[Clip]) -> Values:
        """Return the features of these clips or copies of them, shape (clips, …)."""
        values = np.empty((len(clips), *self.heard.shape), np.float32)
        copies = np.array([clip.copy for clip in clips])
        places = np.array([self._places[clip.path] for clip in clips])
        for copy in np.unique(copies):
            values[copies == copy] = self._of_copy(int(copy))[places[copies == copy]]
        return values

    def _of_copy(self, copy: int) -> Values:
        if copy not in self._values:
            file = self._folder / f"{self._key(copy)}.npy"
            if not file.is_file():
                file.parent.mkdir(parents=True, exist_ok=True)
                partial = file.with_name(f"partial-{time.monotonic_ns()}-{file.name}")  # two trainings may write it
                np.save(partial, self._computed(copy))
                partial.replace(file)
            self._values[copy] = np.load(file, mmap_mode="r")
        return self._values[copy]

    def _computed(self, copy: int) -> Values:
        found = np.empty((len(self.clips), *self.heard.shape), np.float32)
        title = f"features of copy {copy}" if copy else "features"
        for place, clip in enumerate(tqdm(self.clips, title, leave=False, unit="clip", disable=None)):
            samples = self.heard.load(corpora.read_audio(clip, SAMPLE_RATE_HZ))
            if copy:
                rng = np.random.default_rng((place, copy))
                samples = rendered(samples, self._kinds[copy - 1], self.heard.rate_hz, rng)
            found[place] = self.heard.of(samples)
        return found

    def _key(self, copy: int) -> str:
        """Return a hash of all that the features depend on, what they are for some sound included."""
        kind = self._kinds[copy - 1] if copy else ""
        settings = msgspec.json.encode((self.heard, kind, [clip.path.name for clip in self.clips]))
        probe = self.heard.of(self.heard.load(synthetic_clip(SAMPLE_RATE_HZ))).tobytes()
        return hashlib.sha256(corpora.digest(self.clips).encode() + settings + probe).hexdigest()[:16]


def measure_fold(cache: FeatureCache, recipe: PeerRecipe, fold: Fold, runs_dir: Path) -> Measured:
    """Train with some clips held out, score on them, and return the figures; a finished training is not repeated.

    Raises:
        CorpusError: a block has no clips, or a recording is corrupt.
        RecipeError: the run folder is that of another recipe.
    """
    split = splits.of(cache.clips, fold, recipe)
    folder = runs_dir / recipe.folder / fold.folder
    data = corpora.digest(split.train)
    learn.prepare(folder, recipe, data)
    if (done := _read(folder / MEASURED)) and (done.recipe_sha256, done.data_sha256) == (recipe.sha256, data):
        return done
    (folder / fit.CURVES).unlink(missing_ok=True)
    train, dev = _chosen(split, recipe, fold)
    started = time.monotonic()
    if isinstance(recipe.network, Classical):
        scores, facts = _classical(cache, recipe, fold, train, split.test)
    else:
        scores, facts = _network(cache, recipe, fold, (train, dev, split.test), folder)
    predicted = score.predictions(scores, split.test, recipe.labels, {"own"})
    score.save(folder, predicted)
    metrics = score.describe(predicted, recipe.labels)
    done = Measured(
        name=recipe.name,
        labels=recipe.labels,
        recipe_sha256=recipe.sha256,
        data_sha256=data,
        measured={
            "architecture": recipe.network.title,
            "protocol": PROTOCOLS[fold.split],
            "split": fold.split,
            "corpora": recipe.corpora,
            "speakers": {part: splits.speakers(of) for part, of in (("train", split.train), ("test", split.test))},
            "clips": {"train": len(split.train), "test": len(split.test)},
            "minutes": (time.monotonic() - started) / 60,
            **facts,
            **metrics,
        },
    )
    files.replace(folder / MEASURED, msgspec.json.format(msgspec.json.encode(done), indent=1))
    return done


def _read(file: Path) -> Measured | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Measured)
    except (OSError, *JSON_ERRORS):  # nothing that could be used
        return None


def _chosen(split: Split, recipe: PeerRecipe, fold: Fold) -> tuple[list[Clip], list[Clip]]:
    """Return the clips to train on, and those on which the epoch is chosen; these are none if the last one is kept."""
    if recipe.keep == "last":
        return split.train, []
    if fold.split in splits.LEAKY:
        rng = np.random.default_rng(fold.seed)
        kept = rng.random(len(split.train)) >= DEV_SHARE
        return (
            [clip for clip, taken in zip(split.train, kept, strict=True) if taken],
            [clip for clip, taken in zip(split.train, kept, strict=True) if not taken],
        )
    blocks = catalogue.blocks(split.train)
    others = [number for number, speakers in blocks.items() if {clip.speaker for clip in split.train} & speakers]
    held = blocks[others[fold.block % len(others)]]
    train = [clip for clip in split.train if clip.speaker not in held]
    return train, [clip for clip in split.train if clip.speaker in held and clip.copy == 0]


def _classical(
    cache: FeatureCache, recipe: PeerRecipe, fold: Fold, train: list[Clip], test: list[Clip]
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    assert isinstance(recipe.network, Classical)
    truth = features.targets(train, recipe.labels)
    model = classical.fit(recipe.network, cache.of(train), truth, fold.seed)
    scores = classical.probabilities(model, cache.of(test), len(recipe.labels))
    return scores, {"parameters": None, "bytes": len(pickle.dumps(model))}


def _network(
    cache: FeatureCache, recipe: PeerRecipe, fold: Fold, parts: tuple[list[Clip], list[Clip], list[Clip]], folder: Path
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    train, dev, test = parts
    tf_keras.utils.set_random_seed(fold.seed)
    values = cache.of(train)
    model, parameters = untrained(recipe, values)
    model.compile(
        tf_keras.optimizers.Adam(recipe.learning_rate),
        tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    callbacks: list[Any] = [_Curves(folder / fit.CURVES)]
    if dev:
        best = {"monitor": "val_loss", "patience": recipe.epochs, "restore_best_weights": True}
        callbacks.append(tf_keras.callbacks.EarlyStopping(**best))
    model.fit(
        values,
        features.targets(train, recipe.labels),
        recipe.batch,
        recipe.epochs,
        validation_data=(cache.of(dev), features.targets(dev, recipe.labels)) if dev else None,
        callbacks=callbacks,
        verbose=0,
    )
    scores = softmax(model.predict(cache.of(test), verbose=0).astype(np.float64))
    content = quantise.to_float32(model)
    (folder / peer_network.FLOAT).write_bytes(content)
    if isinstance(recipe.network, Conv1d):  # small enough for microcontrollers, which take integers only
        chosen = np.random.default_rng(fold.seed).permutation(len(values))[:REPRESENTATIVE_CLIPS]
        (folder / peer_network.INT8).write_bytes(quantise.to_int8(model, values[chosen]))
    return scores, {"parameters": parameters, "bytes": len(content)}


def untrained(recipe: PeerRecipe, values: Values) -> tuple[Any, int]:
    """Return a recipe's Keras model before training, which standardises as these features are, and its parameters.

    The mean and the deviation of the features are not counted.
    """
    heard = recipe.features
    assert heard is not None  # else the recipe is trained as ours are
    body = peers.build(recipe.network, heard.shape, len(recipe.labels))
    if not heard.standardised:
        return body, body.count_params()
    standardised = layers.Normalization(axis=-1 if len(heard.shape) < 3 else None)
    standardised.adapt(values)
    inputs = layers.Input(heard.shape)
    return tf_keras.Model(inputs, body(standardised(inputs))), body.count_params()


class _Curves(tf_keras.callbacks.Callback):
    """Adds a line to `curves.jsonl` after each epoch."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras names them
        """Note the time."""
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write what the epoch gave."""
        found = {name: round(float(value), 4) for name, value in (logs or {}).items()}
        fit.log(self._file, epoch=epoch + 1, **found, seconds=round(time.monotonic() - self._started, 1))
