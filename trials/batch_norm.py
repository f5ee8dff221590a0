"""A training step with our batch normalisation and with Keras's: `python -m trials.batch_norm [RECIPE]`.

Two networks of the recipe (`six`) learn from the same batch of noise, on one thread of one process, and take turns, so
that whatever else the machine does slows both alike. The batch, pruning and rounding are the same and left out.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from training import fit, recipe
from training.batch_norm import BatchNormalization
from training.recipe import Recipe
from trials.usage import processor

WARM_UP = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m trials.batch_norm")
    parser.add_argument("recipe", nargs="?", default="six")
    parser.add_argument("--rounds", type=int, default=40)
    asked = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    plan = recipe.load(asked.recipe)
    ours = fit.untrained(plan, plan.outputs)
    steps = {
        "ours": step(ours, plan),
        "Keras": step(tf_keras.models.clone_model(ours, clone_function=with_keras), plan),
    }
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(asked.rounds + WARM_UP):
        for name, learn in steps.items():
            start_s = time.perf_counter()
            learn()
            if number >= WARM_UP:
                taken[name].append((time.perf_counter() - start_s) * 1000)
    ratio = statistics.median(one / other for one, other in zip(taken["ours"], taken["Keras"], strict=True))
    for name, of in taken.items():
        print(f"{name:<6} {statistics.median(of):6.1f} ms a step of {plan.batch} windows")
    print(f"ratio {ratio:.2f}, median of {asked.rounds} pairs; TensorFlow {tf.__version__}")
    print(f"{processor()}, one thread; load {os.getloadavg()[0]:.1f}")


def with_keras(layer: Any) -> Any:
    """Return a copy of a layer, Keras's where it is our batch normalisation."""
    kind = tf_keras.layers.BatchNormalization if isinstance(layer, BatchNormalization) else type(layer)
    return kind.from_config(layer.get_config())


def step(model: Any, plan: Recipe) -> Callable[[], object]:
    """Return a training step of a network on a batch of noise."""
    windows = tf.random.normal((plan.batch, plan.window_frames, plan.front_end.n_mels, 1), seed=1)
    targets = tf.one_hot(tf.range(plan.batch) % plan.outputs, plan.outputs)
    loss = tf_keras.losses.CategoricalCrossentropy(from_logits=True)
    optimizer = tf_keras.optimizers.AdamW(plan.learning_rate)
    optimizer.build(model.trainable_variables)

    @tf.function
    def learn() -> Any:
        with tf.GradientTape() as tape:
            value = loss(targets, model(windows, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return value

    return lambda: learn().numpy()


if __name__ == "__main__":
    main()
