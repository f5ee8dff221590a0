"""Batch normalisation beside that of Keras."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from training.batch_norm import BatchNormalization


@pytest.mark.parametrize("channels", [16, 24])
def test_it_learns_as_kerass_layer_does(channels: int) -> None:
    """Outputs, gradients and moving averages of three steps are alike, and so is what is said after them."""
    rng = np.random.default_rng(1)
    images = rng.normal(3, 2, (4, 5, 6, channels)).astype(np.float32)
    wanted = rng.normal(0, 1, images.shape).astype(np.float32)
    ours, theirs = BatchNormalization(momentum=0.9), tf_keras.layers.BatchNormalization(momentum=0.9)

    for _ in range(3):
        for mine, other in zip(_learned(ours, images, wanted), _learned(theirs, images, wanted), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-4)
        images = images * 2 - 1
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4)
    np.testing.assert_allclose(ours(images), theirs(images), rtol=1e-4, atol=1e-4)


def _learned(layer: Any, images: Any, wanted: Any) -> list[Any]:
    """Return what a layer gives in a training, and the gradients of that; its scale and offset have moved then."""
    with tf.GradientTape() as tape:
        heard = tf.constant(images)
        tape.watch(heard)
        given = layer(heard, training=True)
        loss = tf.reduce_mean((given - wanted) ** 2)
    gradients = tape.gradient(loss, [heard, *layer.trainable_variables])
    for variable, gradient in zip(layer.trainable_variables, gradients[1:], strict=True):
        variable.assign_sub(gradient)
    return [given, *gradients]
