"""A Keras model to a TFLite file: integer-only, or as it is."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.compact import compact
from training.recipe import INT8_LEVELS


def to_int8(model: Any, windows: NDArray[np.float32], levels: int = INT8_LEVELS) -> bytes:
    """Return the TFLite flat buffer: batch 1, int8 weights, activations, input and output.

    Args:
        model: the trained Keras model.
        windows: normalised training windows that show which values occur, shape (n, frames, mels, 1).
        levels: how many values its pointwise weights have on either side of 0; 7 or fewer are stored in four bits.
    """
    converter = _converter(model, windows.shape[1:])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([window[None]] for window in windows)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    content: bytes = compact(converter.convert(), levels)
    return content


def to_float32(model: Any) -> bytes:
    """Return the TFLite flat buffer with batch 1 and the weights as they were trained."""
    content: bytes = compact(_converter(model, model.input_shape[1:]).convert())
    return content


def _converter(model: Any, shape: tuple[int, ...]) -> Any:
    # A batch left open keeps some runtimes from their fast kernels.
    call = tf.function(lambda window: model(window, training=False))
    traced = call.get_concrete_function(tf.TensorSpec((1, *shape), tf.float32))
    return tf.lite.TFLiteConverter.from_concrete_functions([traced], model)
