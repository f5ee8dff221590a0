"""Trains a network and prunes it on the way. A training that was stopped goes on where it was."""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tqdm import tqdm

from training import network, peers, rounding
from training.batches import Batches
from training.recipe import INT8_LEVELS, PeerRecipe, Recipe

CURVES = "curves.jsonl"
CHECKPOINT = "checkpoint"
"""Folder in a run folder, as long as the training is not finished."""
WEIGHTS = "float.weights.h5"
"""File in a run folder with what the finished network has learned, before quantisation."""


def fit(batches: Batches, recipe: Recipe, seed: int, folder: Path, start: Path | None = None) -> None:
    """Train and prune a network for the recipe's number of epochs, and write its weights into the folder.

    Each epoch adds a line to `curves.jsonl` there, and replaces the checkpoint from which the training goes on.

    Args:
        batches: what to learn from.
        recipe: what to do.
        seed: of all chance but that of the batches.
        folder: of this training alone.
        start: of a finished training of the same network, whose weights this one begins with; else they are random.
    """
    tf_keras.utils.set_random_seed(seed)
    steps = recipe.epochs * len(batches)
    begun = untrained(recipe, recipe.outputs)
    if start:
        begun.load_weights(start / WEIGHTS)
    model = _prunable(begun, recipe, steps)
    rate = tf_keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=recipe.learning_rate, warmup_steps=max(1, steps // 20)
    )
    model.optimizer = tf_keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    model.optimizer.build(model.trainable_variables)
    pruning = tfmot.sparsity.keras.UpdatePruningStep()
    pruning.set_model(model)
    rounds = tf.Variable(initial_value=False)
    step = _step(model, _loss(recipe), recipe.levels, rounds)
    checkpoint = tf.train.Checkpoint(model=model, epoch=tf.Variable(0))
    manager = tf.train.CheckpointManager(checkpoint, str(folder / CHECKPOINT), max_to_keep=1)
    checkpoint.restore(manager.latest_checkpoint)
    pruning.on_train_begin()
    for epoch in range(int(checkpoint.epoch), recipe.epochs):
        started = time.monotonic()
        losses: list[float] = []
        rounds.assign(recipe.rounding is not None and epoch >= recipe.rounding.begin * recipe.epochs)
        title = f"epoch {epoch + 1} of {recipe.epochs}"
        for batch in tqdm(batches.epoch(epoch), title, len(batches), leave=False, unit="batch", disable=None):
            pruning.on_train_batch_begin(len(losses))
            losses.append(float(step(*batch)))
        pruning.on_epoch_end(epoch)
        _log(
            folder / CURVES,
            epoch=epoch + 1,
            loss=round(float(np.mean(losses)), 4),
            seconds=round(time.monotonic() - started, 1),
        )
        checkpoint.epoch.assign_add(1)
        manager.save()
    learned = untrained(recipe, recipe.outputs)
    learned.set_weights(tfmot.sparsity.keras.strip_pruning(model).get_weights())
    if recipe.rounding:
        for kernel in rounding.kernels(learned):
            kernel.assign(rounding.rounded(kernel, recipe.levels))
    written = folder / f"partial.{WEIGHTS}"
    learned.save_weights(written)
    written.rename(folder / WEIGHTS)
    shutil.rmtree(folder / CHECKPOINT)


def finished(folder: Path) -> bool:
    """Return whether the training of a run folder came to its end."""
    return (folder / WEIGHTS).is_file()


def load(recipe: Recipe, folder: Path, labels: Sequence[str]) -> Any:
    """Return the Keras model of a training that is finished, with the outputs for these of its labels."""
    whole = untrained(recipe, recipe.outputs)
    whole.load_weights(folder / WEIGHTS)
    asked = untrained(recipe, len(labels))
    asked.set_weights(network.of_outputs(whole, [recipe.learned.index(label) for label in labels]))
    return asked


def untrained(recipe: Recipe, labels: int) -> Any:
    """Return a recipe's Keras model as it is before a training, with so many outputs."""
    shape = (recipe.window_frames, recipe.front_end.n_mels, 1)
    if isinstance(recipe, PeerRecipe):
        return peers.build(recipe.network, shape, labels)
    return network.build(recipe.network, shape, labels)


def sparsity(model: Any) -> float:
    """Return the share of all convolution and dense weights that are zero."""
    kernels = [weight.numpy() for weight in model.trainable_weights if len(weight.shape) > 1]
    return float(sum((kernel == 0).sum() for kernel in kernels) / sum(kernel.size for kernel in kernels))


def _loss(recipe: Recipe) -> Callable[[Any, Any, Any], Any]:
    """Return the loss of a batch: what is wrong by the truth, by what the teachers say and by what people heard."""
    by_label, learned = _loss_of_labels(recipe), len(recipe.learned)
    if not recipe.votes:
        return by_label

    def loss(truth: Any, said: Any, outputs: Any) -> Any:
        # votes that add up to nothing, where nobody was asked, cost nothing
        by_votes = tf.nn.softmax_cross_entropy_with_logits(truth[:, learned:], outputs[:, learned:])
        return by_label(truth[:, :learned], said, outputs[:, :learned]) + recipe.votes * tf.reduce_mean(by_votes)

    return loss


def _loss_of_labels(recipe: Recipe) -> Callable[[Any, Any, Any], Any]:
    by_truth = tf_keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    teaching = recipe.teaching
    if teaching is None:
        return lambda truth, _said, outputs: by_truth(truth, outputs)

    def loss(truth: Any, said: Any, outputs: Any) -> Any:
        heat = teaching.temperature
        by_teachers = tf.nn.softmax_cross_entropy_with_logits(said, outputs / heat)
        known = tf.reduce_sum(truth, axis=1)  # 0 for a clip whose label the network does not have
        counted = by_truth(truth, outputs, sample_weight=known / tf.maximum(tf.reduce_mean(known), 1e-6))
        # Divided outputs have smaller gradients, by the square of the temperature (Hinton et al. 2015).
        return teaching.share * heat**2 * tf.reduce_mean(by_teachers) + (1 - teaching.share) * counted

    return loss


def _step(model: Any, loss: Callable[[Any, Any, Any], Any], levels: int, rounds: Any) -> Any:
    """Return a function that learns from a batch; what it hears it with are rounded weights, when `rounds` is true."""
    kernels = rounding.kernels(model) if levels < INT8_LEVELS else []

    @tf.function(reduce_retracing=True)
    def step(windows: Any, truth: Any, said: Any) -> Any:
        behind = [tf.identity(kernel) for kernel in kernels]
        for kernel in kernels:
            kernel.assign(tf.where(rounds, rounding.rounded(kernel, levels), kernel))
        with tf.GradientTape() as tape:
            value = loss(truth, said, model(windows, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        for kernel, before in zip(kernels, behind, strict=True):
            kernel.assign(before)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return value

    return step


def _log(file: Path, **values: float) -> None:
    line = msgspec.json.encode(values).decode()
    with file.open("a", encoding="utf-8") as curves:
        curves.write(line + "\n")
    print(line, flush=True)


def _prunable(model: Any, recipe: Recipe, steps: int) -> Any:
    plan = recipe.pruning
    begin, often = int(plan.begin * steps), max(1, steps // 100)
    end = max(begin + 1, int(plan.end * steps))  # a training of very few steps
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, plan.sparsity, begin, end, frequency=often)

    def wrap(layer: Any) -> Any:
        # The first layer and the head are small and sensitive, and the library cannot prune depthwise kernels.
        if rounding.is_pointwise(layer):
            return tfmot.sparsity.keras.prune_low_magnitude(layer, schedule)
        return layer

    return tf_keras.models.clone_model(model, clone_function=wrap)
