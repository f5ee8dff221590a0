"""The networks of published systems, rebuilt to be trained and measured as ours are.

Input: one window of log-mel frames, shape (frames, mels, 1), or the features of a system. Output: one logit per label.
"""

from collections.abc import Callable
from typing import Any

import tf_keras
from tf_keras import layers, regularizers

from training.architectures import (
    Architecture,
    BiLstmConv,
    Conv1d,
    Conv2d,
    DenseNet,
    LightSerNet,
    PlainDsCnn,
    Recurrent,
)


def build(network: Architecture, input_shape: tuple[int, ...], labels: int) -> Any:
    """Return the untrained Keras model of a peer's recipe."""
    inputs = layers.Input(input_shape)
    return tf_keras.Model(inputs, layers.Dense(labels)(_BODIES[type(network)](network, inputs)))


def _plain_ds_cnn(network: PlainDsCnn, tensor: Any) -> Any:
    """Return the features of one convolution with stride 2, then depthwise separable ones (Zhang et al. 2017)."""
    filters = [round(network.alpha * count) for count in network.filters]
    tensor = _normalise(layers.Conv2D(filters[0], 3, strides=2, padding="same", use_bias=False)(tensor))
    for count in filters[1:]:
        tensor = _normalise(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(tensor))
        tensor = _normalise(layers.Conv2D(count, 1, use_bias=False)(tensor))
    return layers.GlobalAveragePooling2D()(tensor)


def _light_sernet(network: LightSerNet, tensor: Any) -> Any:
    """Return the features of LIGHT-SERNET (Aftab, Morsali, Ghaemmaghami and Champagne, ICASSP 2022).

    Of 40 log-mel bands instead of 40 MFCC; 462,147 parameters with a head of three labels, as theirs.
    """
    branches = [layers.Conv2D(32, kernel, padding="same")(tensor) for kernel in ((11, 1), (1, 9), (3, 3))]
    tensor = layers.Concatenate()([layers.AveragePooling2D(2)(_normalise(branch)) for branch in branches])
    for filters, pool in ((64, 2), (96, 2), (128, (2, 1)), (160, (2, 1))):
        tensor = _normalise(layers.Conv2D(filters, 3, padding="same", use_bias=False)(tensor))
        tensor = layers.AveragePooling2D(pool)(tensor)
    tensor = _normalise(layers.Conv2D(320, 1, use_bias=False)(tensor))
    return layers.Dropout(network.dropout)(layers.GlobalAveragePooling2D()(tensor))


def _conv_1d(network: Conv1d, tensor: Any) -> Any:
    """Return the features of the embedded-compiler demo: the last layer of each group but the last one is pooled."""
    tensor = _sequence(tensor)
    for number, group in enumerate(network.groups, 1):
        for place, filters in enumerate(group, 1):
            tensor = layers.Conv1D(filters, network.kernel, padding="same")(tensor)
            if place < len(group) or number == len(network.groups):
                tensor = layers.ReLU()(tensor)
                continue
            tensor = layers.ReLU()(layers.BatchNormalization()(tensor))
            tensor = layers.MaxPooling1D(network.pool)(layers.Dropout(network.dropout)(tensor))
    return layers.Flatten()(tensor)


def _recurrent(network: Recurrent, tensor: Any) -> Any:
    cell = {"gru": layers.GRU, "lstm": layers.LSTM}[network.cell]
    return layers.Dropout(network.dropout)(cell(network.units)(_sequence(tensor)))


def _conv_2d(network: Conv2d, tensor: Any) -> Any:
    """Return the features of the university project's deep network.

    The count of its parameters tells that both convolutions of a block are normalised.
    """
    regular = {"kernel_regularizer": regularizers.L2(network.l2)}
    tensor = layers.Conv2D(network.first, 7, strides=2, activation="relu", **regular)(tensor)
    for filters in network.filters:
        tensor = layers.Conv2D(filters, 3, padding="same", activation="relu", **regular)(tensor)
        tensor = layers.BatchNormalization()(tensor)
        tensor = layers.Conv2D(filters, 3, strides=2, activation="relu", **regular)(tensor)
        tensor = layers.Dropout(0.25)(layers.BatchNormalization()(tensor))
    tensor = layers.Dense(network.dense, activation="relu", **regular)(layers.Flatten()(tensor))
    return layers.Dropout(0.7)(layers.BatchNormalization()(tensor))


def _bilstm_conv(network: BiLstmConv, tensor: Any) -> Any:
    """Return the features of the university project's baseline, whose sequence is that of the coefficients."""
    tensor = layers.Permute((2, 1))(tensor)
    tensor = layers.Bidirectional(layers.LSTM(network.units, return_sequences=True))(tensor)
    tensor = layers.Dense(80, activation="relu")(tensor)
    tensor = layers.MaxPooling1D(4)(layers.Conv1D(32, 5, padding="same", activation="relu")(tensor))
    tensor = layers.Conv1D(64, 5, padding="same", activation="relu")(tensor)
    return layers.Dense(1000, activation="relu")(layers.Flatten()(tensor))


def _densenet(network: DenseNet, tensor: Any) -> Any:
    """Return the features of a DenseNet, of which each layer hears all before it in its block."""
    tensor = layers.Conv2D(2 * network.growth, 7, strides=2, padding="same", use_bias=False)(tensor)
    tensor = layers.MaxPooling2D(3, strides=2, padding="same")(_normalise(tensor))
    for number, count in enumerate(network.blocks, 1):
        for _ in range(count):
            new = layers.Conv2D(4 * network.growth, 1, use_bias=False)(_normalise(tensor))
            new = layers.Conv2D(network.growth, 3, padding="same", use_bias=False)(_normalise(new))
            tensor = layers.Concatenate()([tensor, new])
        if number < len(network.blocks):
            tensor = layers.Conv2D(tensor.shape[-1] // 2, 1, use_bias=False)(_normalise(tensor))
            tensor = layers.AveragePooling2D(2, padding="same")(tensor)
    tensor = layers.GlobalAveragePooling2D()(_normalise(tensor))
    return layers.LeakyReLU(0.01)(layers.Dense(network.dense)(tensor))


_BODIES: dict[type, Callable[[Any, Any], Any]] = {
    PlainDsCnn: _plain_ds_cnn,
    LightSerNet: _light_sernet,
    Conv1d: _conv_1d,
    Recurrent: _recurrent,
    Conv2d: _conv_2d,
    BiLstmConv: _bilstm_conv,
    DenseNet: _densenet,
}


def _sequence(tensor: Any) -> Any:
    """Return a vector as a sequence of one channel, and frames of bands as a sequence of these."""
    if len(tensor.shape) == 2:
        return layers.Reshape((tensor.shape[1], 1))(tensor)
    return layers.Reshape(tensor.shape[1:3])(tensor) if len(tensor.shape) == 4 else tensor


def _normalise(tensor: Any) -> Any:
    # momentum: as in network.py
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(tensor))
