"""Pointwise convolutions whose weights have few values: rounded in training, stored in four bits."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from ai_edge_litert import schema_py_generated as schema

from training.recipe import INT8_LEVELS

INT4_LEVELS = 7
"""Values on either side of 0 that fit into four bits."""


def is_pointwise(layer: Any) -> bool:
    """Return whether a Keras layer is a pointwise convolution; these hold nearly all weights."""
    return isinstance(layer, tf_keras.layers.Conv2D) and layer.kernel_size == (1, 1)


def kernels(model: Any) -> list[Any]:
    """Return the weights of a Keras model's pointwise convolutions, those wrapped for pruning included."""
    layers = [getattr(layer, "layer", layer) for layer in model.layers]
    return [layer.kernel for layer in layers if is_pointwise(layer)]


def rounded(kernel: Any, levels: int) -> Any:
    """Return weights rounded to `levels` steps up to the largest of their filter, shape (1, 1, channels, filters)."""
    step = tf.reduce_max(tf.abs(kernel), axis=(0, 1, 2)) / levels
    return tf.round(tf.math.divide_no_nan(kernel, step)) * step


def pack(model: schema.ModelT, levels: int) -> None:
    """Store the int8 weights of a TFLite model's pointwise convolutions in four bits.

    Args:
        model: changed in place.
        levels: values of its weights on either side of 0, at most 7.
    """
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.CONV_2D:
                weights, bias = (subgraph.tensors[number] for number in operator.inputs[1:3])
                if tuple(weights.shape[1:3]) == (1, 1):
                    _pack(model, weights, bias, levels)


def _pack(model: schema.ModelT, weights: Any, bias: Any, levels: int) -> None:
    values = np.rint(_values(model, weights, np.int8) * (levels / INT8_LEVELS)).astype(np.int8)
    low, high = (half.view(np.uint8) & 15 for half in (values[0::2], values[1::2]))
    model.buffers[weights.buffer].data = low | (high << 4)
    weights.type = schema.TensorType.INT4
    # the step of a bias is that of the weights times that of the input
    steps = np.rint(_values(model, bias, np.int32) * (levels / INT8_LEVELS)).astype(np.int32)
    model.buffers[bias.buffer].data = steps.view(np.uint8)
    for tensor in (weights, bias):
        tensor.quantization.scale = (tensor.quantization.scale * (INT8_LEVELS / levels)).astype(np.float32)


def _values(model: schema.ModelT, tensor: Any, kind: type) -> Any:
    return np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(kind)
