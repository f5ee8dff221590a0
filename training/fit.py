"""Trains a network and prunes it on the way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras
from numpy.typing import NDArray

from models.frontend import Frames, normalise
from training import augment, features, network
from training.recipe import Recipe


class Batches(tf_keras.utils.Sequence):
    """One epoch of training batches: each clip once, at a random speed and place, augmented."""

    def __init__(self, variants: Sequence[Sequence[Frames]], truth: NDArray[np.intp], recipe: Recipe) -> None:
        self._variants = variants
        """Padded frames of all clips, for each speed."""
        self._truth = np.eye(len(recipe.labels), dtype=np.float32)[truth]
        self._recipe = recipe
        self._margin = features.margin_frames(recipe)
        self._rng = np.random.default_rng(recipe.seed)
        self._order = self._rng.permutation(len(truth))

    def __len__(self) -> int:
        """Return the number of batches; the clips of an incomplete one wait for another epoch."""
        return max(1, len(self._truth) // self._recipe.batch)

    def __getitem__(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return windows, shape (batch, frames, mels, 1), and truth, shape (batch, labels)."""
        chosen = self._order[number * self._recipe.batch :][: self._recipe.batch]
        windows = np.stack([self._window(clip) for clip in chosen])[..., None]
        truth = self._truth[chosen]
        if self._recipe.augment.mixup:
            return augment.mixup(windows, truth, self._recipe.augment.mixup, self._rng)
        return windows, truth

    def on_epoch_end(self) -> None:
        """Shuffle."""
        self._order = self._rng.permutation(len(self._truth))

    def _window(self, clip: int) -> Frames:
        frames = self._variants[self._rng.integers(len(self._variants))][clip]
        beside = np.ones(len(frames), bool)
        beside[self._margin : len(frames) - self._margin] = False
        last = len(frames) - self._recipe.window_frames
        start = round(self._rng.triangular(0, last / 2, last))  # mostly the whole clip, sometimes a part of it
        window = slice(start, start + self._recipe.window_frames)
        distorted = augment.distort(frames[window], beside[window], self._recipe.augment, self._rng)
        return augment.mask(normalise(distorted), self._recipe.augment, self._rng)


def fit(variants: Sequence[Sequence[Frames]], truth: NDArray[np.intp], recipe: Recipe, verbose: int = 2) -> Any:
    """Return a trained and pruned Keras model, after the recipe's number of epochs.

    Args:
        variants: padded frames of all training clips, for each speed.
        truth: class of each clip, shape (clips,).
        recipe: what to do.
        verbose: 2 prints one line for each epoch, 0 nothing.
    """
    tf_keras.utils.set_random_seed(recipe.seed)
    batches = Batches(variants, truth, recipe)
    steps = recipe.epochs * len(batches)
    shape = (recipe.window_frames, recipe.front_end.n_mels, 1)
    model = _prunable(network.build(recipe.network, shape, len(recipe.labels)), recipe, steps)
    rate = tf_keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=recipe.learning_rate, warmup_steps=steps // 20
    )
    model.compile(
        tf_keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay),
        tf_keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
    )
    model.fit(
        batches,
        epochs=recipe.epochs,
        shuffle=False,  # Batches shuffles the clips itself
        callbacks=[tfmot.sparsity.keras.UpdatePruningStep()],
        verbose=verbose,
    )
    return tfmot.sparsity.keras.strip_pruning(model)


def sparsity(model: Any) -> float:
    """Return the share of all convolution and dense weights that are zero."""
    kernels = [weight.numpy() for weight in model.trainable_weights if len(weight.shape) > 1]
    return float(sum((kernel == 0).sum() for kernel in kernels) / sum(kernel.size for kernel in kernels))


def _prunable(model: Any, recipe: Recipe, steps: int) -> Any:
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        0.0,
        recipe.pruning.sparsity,
        begin_step=int(recipe.pruning.begin * steps),
        end_step=int(recipe.pruning.end * steps),
        frequency=max(1, steps // 100),
    )

    def wrap(layer: Any) -> Any:
        # The pointwise convolutions hold nearly all weights. The first layer and the head are small and sensitive,
        # and the library cannot prune depthwise kernels.
        if isinstance(layer, tf_keras.layers.Conv2D) and layer.kernel_size == (1, 1):
            return tfmot.sparsity.keras.prune_low_magnitude(layer, schedule)
        return layer

    return tf_keras.models.clone_model(model, clone_function=wrap)
