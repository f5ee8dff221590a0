"""Batch normalisation that is as fast at any number of channels.

oneDNN, which computes it for TensorFlow, has a fast kernel for multiples of 16 channels (one AVX-512 register of
float32). At other widths, such as the 136 channels of `six`, its forward pass takes four times as long for each value.
Here matrix products compute the means; the rest, the backward pass included, is TensorFlow's.
`python -m trials.batch_norm` measures both.
"""

from typing import Any

import tensorflow as tf
import tf_keras

FAST_MULTIPLE = 16
"""oneDNN computes widths that are a multiple of it."""


class BatchNormalization(tf_keras.layers.BatchNormalization):
    """Keras's layer over the last axis of images: shape (n, rows, columns, channels), float32."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Return the normalised images; in training by their own means and variances, which update the averages."""
        if training is not True or inputs.shape[-1] % FAST_MULTIPLE == 0:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = _normalised(inputs, self.gamma, self.beta, self.epsilon)
        count = tf.cast(tf.size(inputs) / inputs.shape[-1], tf.float32)
        for average, new in ((self.moving_mean, mean), (self.moving_variance, variance * count / (count - 1))):
            average.assign_sub((1 - self.momentum) * (average - new))
        return tf.ensure_shape(outputs, inputs.shape)


def _normalised(inputs: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """Return the normalised images, and each channel's mean and variance (not Bessel's), shape (channels,)."""

    @tf.custom_gradient
    def normalised(images: Any, scale: Any, offset: Any) -> Any:
        values = tf.reshape(images, (-1, images.shape[-1]))
        each = tf.fill((1, tf.shape(values)[0]), 1 / tf.cast(tf.shape(values)[0], tf.float32))
        mean = tf.matmul(each, values)[0]
        variance = tf.maximum(tf.matmul(each, values * values)[0] - mean * mean, 0)
        factor = scale * tf.math.rsqrt(variance + epsilon)
        outputs = tf.reshape(values * factor + (offset - mean * factor), tf.shape(images))

        def gradient(upstream: Any, _of_mean: Any, _of_variance: Any) -> Any:
            return tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=upstream,
                x=images,
                scale=scale,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=tf.zeros(0),
                epsilon=epsilon,
            )[:3]

        return (outputs, mean, variance), gradient

    return normalised(inputs, gamma, beta)
