"""Trains a network and prunes it on the way. A training that was stopped goes on where it was."""

import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from numpy.typing import NDArray
from tqdm import tqdm

from training import evaluate, network, peers
from training.batches import Batches
from training.recipe import PeerRecipe, Recipe

CURVES = "curves.jsonl"
CHECKPOINT = "checkpoint"
"""Folder in a run folder, as long as the training is not finished."""


class Heard(msgspec.Struct, frozen=True):
    """Windows whose truth is known, to watch a training with."""

    windows: NDArray[np.float32]
    """Normalised, shape (n, frames, mels, 1)."""
    truth: evaluate.Truth


def fit(batches: Batches, dev: Heard | None, recipe: Recipe, seed: int, folder: Path) -> Any:
    """Return a trained and pruned Keras model, after the recipe's number of epochs.

    Each epoch adds a line to `curves.jsonl` in the folder, and replaces the checkpoint from which the training goes on.

    Args:
        batches: what to learn.
        dev: what is looked at after each epoch, if anything is; it decides nothing.
        recipe: what to do.
        seed: of all chance but that of the batches.
        folder: of this training alone.
    """
    tf_keras.utils.set_random_seed(seed)
    steps = recipe.epochs * len(batches)
    shape = (recipe.window_frames, recipe.front_end.n_mels, 1)
    build = peers.build if isinstance(recipe, PeerRecipe) else network.build
    model = _prunable(build(recipe.network, shape, len(recipe.learned)), recipe, steps)
    rate = tf_keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=recipe.learning_rate, warmup_steps=max(1, steps // 20)
    )
    model.optimizer = tf_keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    model.optimizer.build(model.trainable_variables)
    pruning = tfmot.sparsity.keras.UpdatePruningStep()
    pruning.set_model(model)
    loss = tf_keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    step = _step(model, loss)
    checkpoint = tf.train.Checkpoint(model=model, epoch=tf.Variable(0))
    manager = tf.train.CheckpointManager(checkpoint, str(folder / CHECKPOINT), max_to_keep=1)
    checkpoint.restore(manager.latest_checkpoint)
    pruning.on_train_begin()
    for epoch in range(int(checkpoint.epoch), recipe.epochs):
        started = time.monotonic()
        losses: list[float] = []
        title = f"epoch {epoch + 1} of {recipe.epochs}"
        for windows, truth in tqdm(batches.epoch(epoch), title, len(batches), leave=False, unit="batch", disable=None):
            pruning.on_train_batch_begin(len(losses))
            losses.append(float(step(windows, truth)))
        pruning.on_epoch_end(epoch)
        _log(
            folder / CURVES,
            epoch=epoch + 1,
            loss=round(float(np.mean(losses)), 4),
            **({"dev_uar": _uar(model, dev, recipe)} if dev else {}),
            seconds=round(time.monotonic() - started, 1),
        )
        checkpoint.epoch.assign_add(1)
        manager.save()
    return network.with_outputs(tfmot.sparsity.keras.strip_pruning(model), len(recipe.labels))


def sparsity(model: Any) -> float:
    """Return the share of all convolution and dense weights that are zero."""
    kernels = [weight.numpy() for weight in model.trainable_weights if len(weight.shape) > 1]
    return float(sum((kernel == 0).sum() for kernel in kernels) / sum(kernel.size for kernel in kernels))


def _step(model: Any, loss: Any) -> Any:
    @tf.function(reduce_retracing=True)
    def step(windows: Any, truth: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(truth, model(windows, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return value

    return step


def _uar(model: Any, dev: Heard, recipe: Recipe) -> float:
    outputs = model.predict(dev.windows, batch_size=128, verbose=0)
    return round(evaluate.uar(outputs[:, : len(recipe.labels)].argmax(axis=1), dev.truth), 4)


def _log(file: Path, **values: float) -> None:
    line = msgspec.json.encode(values).decode()
    with file.open("a", encoding="utf-8") as curves:
        curves.write(line + "\n")
    print(line, flush=True)


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
