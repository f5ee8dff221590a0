"""Our network: a depthwise-separable CNN (Zhang et al. 2017, Hello Edge) on one window of log-mel frames.

window (frames, mels, 1)
-> convolution 3x3, batch normalisation, ReLU
-> several x [depthwise 3x3, normalisation, ReLU, pointwise 1x1, normalisation, ReLU]  (+ residual where the size stays)
-> average over time and frequency -> dropout -> dense  (+ peak over time -> dropout -> dense)
-> one logit per label
"""

from typing import Any

import tf_keras
from tf_keras import layers

from training.batch_norm import BatchNormalization
from training.recipe import Network


def build(network: Network, input_shape: tuple[int, int, int], labels: int) -> Any:
    """Return the untrained Keras model; its outputs are logits, of which the runtime makes probabilities."""
    inputs = tensor = layers.Input(input_shape)
    tensor = layers.Conv2D(network.filters[0], 3, strides=network.strides[0], padding="same", use_bias=False)(tensor)
    tensor = _normalise(tensor)
    for filters, stride in zip(network.filters[1:], network.strides[1:], strict=True):
        before = tensor
        tensor = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(tensor)
        tensor = _normalise(tensor)
        tensor = layers.Conv2D(filters, 1, use_bias=False)(tensor)
        tensor = _normalise(tensor)
        if tensor.shape == before.shape:
            tensor = layers.Add()([before, tensor])
    logits = layers.Dense(labels)(layers.Dropout(network.dropout)(layers.GlobalAveragePooling2D()(tensor)))
    if network.peaks:
        of_frames = layers.AveragePooling2D((1, tensor.shape[2]))(tensor)
        peaks = layers.Dropout(network.dropout)(layers.GlobalMaxPooling2D()(of_frames))
        # a head of their own: peaks are larger than means, which one int8 tensor with both would round away
        logits = layers.Add()([logits, layers.Dense(labels, use_bias=False)(peaks)])
    return tf_keras.Model(inputs, logits)


def weights_of_outputs(model: Any, chosen: list[int]) -> list[Any]:
    """Return a model's weights with those of these outputs only, in this order."""
    heads = sum(len(layer.weights) for layer in model.layers if isinstance(layer, layers.Dense))
    weights = model.get_weights()
    return [*weights[:-heads], *(values[..., chosen] for values in weights[-heads:])]


def _normalise(tensor: Any) -> Any:
    # With Keras's default momentum of 0.99, the averages would still be near their start after a short training.
    return layers.ReLU()(BatchNormalization(momentum=0.9)(tensor))
