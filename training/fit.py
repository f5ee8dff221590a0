"""The training loop: pruning and rounding begin on the way, and a training that was stopped goes on where it was."""

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
"""Folder in a run folder, until the training is finished."""
WEIGHTS = "float.weights.h5"
"""File in a run folder: weights of the finished network, before quantisation."""

Begin = Callable[[Any], None]
"""Changes a Keras model in place."""


def fit(batches: Batches, recipe: Recipe, seed: int, folder: Path, begin: Begin | None = None) -> None:
    """Train, prune and round a network for the recipe's number of epochs, and write its weights into the folder.

    Each epoch adds a line to `curves.jsonl` there, and replaces the checkpoint from which a stopped training goes on.

    Args:
        batches: what to learn from.
        recipe: network, epochs, learning rate, pruning, rounding.
        seed: of everything random outside the batches.
        folder: the run folder.
        begin: gives the untrained network its first weights; None: random ones.
    """
    tf_keras.utils.set_random_seed(seed)
    steps = recipe.epochs * len(batches)
    initial = untrained(recipe, recipe.outputs)
    if begin:
        begin(initial)
    model = _prunable(initial, recipe, steps)
    rate = tf_keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=recipe.learning_rate, warmup_steps=max(1, steps // 20)
    )
    model.optimizer = tf_keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    model.optimizer.build(model.trainable_variables)
    pruning = tfmot.sparsity.keras.UpdatePruningStep()
    pruning.set_model(model)
    is_rounding = tf.Variable(initial_value=False)
    step = _step(model, _loss(recipe), recipe.levels, is_rounding)
    checkpoint = tf.train.Checkpoint(model=model, epoch=tf.Variable(0))
    manager = tf.train.CheckpointManager(checkpoint, str(folder / CHECKPOINT), max_to_keep=1)
    checkpoint.restore(manager.latest_checkpoint)
    pruning.on_train_begin()
    for epoch in range(int(checkpoint.epoch), recipe.epochs):
        started = time.monotonic()
        losses: list[float] = []
        is_rounding.assign(recipe.rounding is not None and epoch >= recipe.rounding.begin * recipe.epochs)
        title = f"epoch {epoch + 1} of {recipe.epochs}"
        for batch in tqdm(batches.epoch(epoch), title, len(batches), leave=False, unit="batch", disable=None):
            pruning.on_train_batch_begin(len(losses))
            losses.append(float(step(*batch)))
        pruning.on_epoch_end(epoch)
        log(
            folder / CURVES,
            epoch=epoch + 1,
            loss=round(float(np.mean(losses)), 4),
            seconds=round(time.monotonic() - started, 1),
        )
        checkpoint.epoch.assign_add(1)
        manager.save()
    trained = untrained(recipe, recipe.outputs)
    trained.set_weights(tfmot.sparsity.keras.strip_pruning(model).get_weights())
    if recipe.rounding:
        for kernel in rounding.kernels(trained):
            kernel.assign(rounding.rounded(kernel, recipe.levels))
    partial = folder / f"partial.{WEIGHTS}"
    trained.save_weights(partial)
    partial.rename(folder / WEIGHTS)
    shutil.rmtree(folder / CHECKPOINT)


def finished(folder: Path) -> bool:
    """Return whether the training of a run folder is finished."""
    return (folder / WEIGHTS).is_file()


def load(recipe: Recipe, folder: Path, labels: Sequence[str]) -> Any:
    """Return the Keras model of a finished training, with the outputs for these of its labels only."""
    whole = untrained(recipe, recipe.outputs)
    whole.load_weights(folder / WEIGHTS)
    model = untrained(recipe, len(labels))
    model.set_weights(network.weights_of_outputs(whole, [recipe.learned.index(label) for label in labels]))
    return model


def untrained(recipe: Recipe, labels: int) -> Any:
    """Return a recipe's Keras model before training, with this number of outputs."""
    shape = (recipe.window_frames, recipe.front_end.n_mels, 1)
    if isinstance(recipe, PeerRecipe):
        return peers.build(recipe.network, shape, labels)
    return network.build(recipe.network, shape, labels)


def sparsity(model: Any) -> float:
    """Return the share of all convolution and dense weights that are zero."""
    kernels = [weight.numpy() for weight in model.trainable_weights if len(weight.shape) > 1]
    return float(sum((kernel == 0).sum() for kernel in kernels) / sum(kernel.size for kernel in kernels))


def _loss(recipe: Recipe) -> Callable[[Any, Any, Any], Any]:
    """Return the loss of (targets, soft targets, logits): of labels and teachers, and of the votes."""
    label_loss, learned = _label_loss(recipe), len(recipe.learned)
    if not recipe.votes:
        return label_loss

    def loss(targets: Any, soft_targets: Any, logits: Any) -> Any:
        shares, answers = targets[:, learned:], logits[:, learned:]
        # TensorFlow's gradient takes shares to sum to 1; where nobody was asked they are all zero
        was_asked = tf.reduce_sum(shares, axis=1)
        vote_loss = was_asked * tf.nn.softmax_cross_entropy_with_logits(shares, answers)
        of_labels = label_loss(targets[:, :learned], soft_targets, logits[:, :learned])
        return of_labels + recipe.votes * tf.reduce_mean(vote_loss)

    return loss


def _label_loss(recipe: Recipe) -> Callable[[Any, Any, Any], Any]:
    cross_entropy = tf_keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    teaching = recipe.teaching
    if teaching is None:
        return lambda targets, _soft_targets, logits: cross_entropy(targets, logits)

    def loss(targets: Any, soft_targets: Any, logits: Any) -> Any:
        temperature = teaching.temperature
        teacher_loss = tf.nn.softmax_cross_entropy_with_logits(soft_targets, logits / temperature)
        known = tf.reduce_sum(targets, axis=1)  # 0 for a clip whose label the network does not have
        weights = known / tf.maximum(tf.reduce_mean(known), 1e-6)
        of_labels = cross_entropy(targets, logits, sample_weight=weights)
        # The gradients of divided logits are smaller by the square of the temperature (Hinton et al. 2015).
        return teaching.share * temperature**2 * tf.reduce_mean(teacher_loss) + (1 - teaching.share) * of_labels

    return loss


def _step(model: Any, loss: Callable[[Any, Any, Any], Any], levels: int, is_rounding: Any) -> Any:
    """Return a training step; while `is_rounding` is true, its forward pass uses rounded weights."""
    kernels = rounding.kernels(model) if levels < INT8_LEVELS else []

    @tf.function(reduce_retracing=True)
    def step(windows: Any, targets: Any, soft_targets: Any) -> Any:
        exact = [tf.identity(kernel) for kernel in kernels]
        for kernel in kernels:
            kernel.assign(tf.where(is_rounding, rounding.rounded(kernel, levels), kernel))
        with tf.GradientTape() as tape:
            value = loss(targets, soft_targets, model(windows, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        for kernel, weights in zip(kernels, exact, strict=True):
            kernel.assign(weights)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return value

    return step


def log(file: Path, **values: float) -> None:
    """Add a line to a file of curves, and print it."""
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
