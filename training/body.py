"""The layers of a finished model as the beginning of another network: all but the head, which is new.

A TFLite file holds each convolution with its batch normalisation folded in. Here they come apart again: the
normalisation gets the mean and the deviation that the convolution has on the new training windows, and gives back what
the folded one gave. So no run folder is needed, only the bundle.
"""

from typing import Any

import numpy as np
import tf_keras
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from tf_keras import layers

from models import tflite
from models.bundle import Bundle
from training.recipe import RecipeError

CONVOLUTIONS = {schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D}
TYPES = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}

Values = NDArray[np.float32]


def begin(model: Any, made: Bundle, windows: Values) -> None:
    """Give a Keras model the convolutions of a bundle's model, and what these give on some windows.

    Args:
        model: of our architecture, changed in place.
        made: the bundle.
        windows: normalised training windows, shape (n, frames, mels, 1).

    Raises:
        RecipeError: its layers are others.
    """
    found = _convolutions(made.model)
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D)]
    normalisations = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    shapes = [tuple(layer.weights[0].shape) for layer in convolutions]
    # TFLite has the filters first, Keras last; of a depthwise kernel, which has one filter, TFLite has it first too
    kernels = [kernel.transpose(1, 2, 3, 0) for kernel, _ in found]
    if len(found) != len(shapes) or [kernel.shape for kernel in kernels] != shapes:
        raise RecipeError(
            f"the network cannot begin as {made.manifest.name}: its layers are others; give [network] the same filters "
            "and strides"
        )
    for layer, normalisation, kernel, (_, bias) in zip(convolutions, normalisations, kernels, found, strict=True):
        layer.set_weights([kernel])
        outputs = tf_keras.Model(model.input, layer.output).predict(windows, verbose=0)
        mean, variance = outputs.mean(axis=(0, 1, 2)), outputs.var(axis=(0, 1, 2))
        deviation = np.sqrt(variance + normalisation.epsilon)
        normalisation.set_weights([deviation, bias + mean, mean, variance])


def _convolutions(content: bytes) -> list[tuple[Values, Values]]:
    """Return kernel and bias of each convolution of a TFLite file, in order."""
    model = schema.ModelT.InitFromPackedBuf(tflite.unpacked(content), 0)
    (graph,) = model.subgraphs
    return [
        (_real(model, graph.tensors[operator.inputs[1]]), _real(model, graph.tensors[operator.inputs[2]]))
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode in CONVOLUTIONS
    ]


def _real(model: schema.ModelT, tensor: Any) -> Values:
    """Return a tensor's values, float32, in its shape."""
    buffer = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    values = buffer.view(TYPES[tensor.type]).reshape(tensor.shape).astype(np.float32)
    if tensor.type == schema.TensorType.FLOAT32:
        return values
    scales = np.asarray(tensor.quantization.scale, np.float32)
    along = [1] * values.ndim
    along[tensor.quantization.quantizedDimension if len(scales) > 1 else 0] = len(scales)
    real: Values = values * scales.reshape(along)
    return real
