"""The networks of published systems, rebuilt to be trained and measured as ours are.

Input: one window of log-mel frames, shape (frames, mels, 1). Output: one logit per label.
"""

from typing import Any

import tf_keras
from tf_keras import layers

from training.recipe import LightSerNet, PlainDsCnn


def build(network: PlainDsCnn | LightSerNet, input_shape: tuple[int, int, int], labels: int) -> Any:
    """Return the untrained Keras model of a peer's recipe."""
    inputs = layers.Input(input_shape)
    if isinstance(network, PlainDsCnn):
        tensor = _plain_ds_cnn(inputs, [round(network.alpha * filters) for filters in network.filters])
    else:
        tensor = layers.Dropout(network.dropout)(_light_sernet(inputs))
    return tf_keras.Model(inputs, layers.Dense(labels)(tensor))


def _plain_ds_cnn(tensor: Any, filters: list[int]) -> Any:
    """Return the features of one convolution with stride 2, then depthwise separable ones (Zhang et al. 2017)."""
    tensor = _normalise(layers.Conv2D(filters[0], 3, strides=2, padding="same", use_bias=False)(tensor))
    for count in filters[1:]:
        tensor = _normalise(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(tensor))
        tensor = _normalise(layers.Conv2D(count, 1, use_bias=False)(tensor))
    return layers.GlobalAveragePooling2D()(tensor)


def _light_sernet(tensor: Any) -> Any:
    """Return the features of LIGHT-SERNET (Aftab, Morsali, Ghaemmaghami and Champagne, ICASSP 2022).

    Of 40 log-mel bands instead of 40 MFCC; 462,147 parameters with a head of three labels, as theirs.
    """
    branches = [layers.Conv2D(32, kernel, padding="same")(tensor) for kernel in ((11, 1), (1, 9), (3, 3))]
    tensor = layers.Concatenate()([layers.AveragePooling2D(2)(_normalise(branch)) for branch in branches])
    for filters, pool in ((64, 2), (96, 2), (128, (2, 1)), (160, (2, 1))):
        tensor = _normalise(layers.Conv2D(filters, 3, padding="same", use_bias=False)(tensor))
        tensor = layers.AveragePooling2D(pool)(tensor)
    tensor = _normalise(layers.Conv2D(320, 1, use_bias=False)(tensor))
    return layers.GlobalAveragePooling2D()(tensor)


def _normalise(tensor: Any) -> Any:
    # momentum: as in network.py
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(tensor))
