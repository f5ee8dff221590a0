"""Converts a Keras model to a TFLite file: integer-only, or float32."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.compact import compact
from training.recipe import INT8_LEVELS


def to_int8(model: Any, windows: NDArray[np.float32], levels: int = INT8_LEVELS) -> bytes:
    """Return a TFLite flat buffer with batch 1, and int8 weights, activations, input and output.

    Args:
        model: the trained Keras model.
        windows: normalised training windows, for the range of activations, shape (n, frames, mels, 1).
        levels: values of its pointwise weights on either side of 0; up to 7 are stored in four bits.
    """
    converter = _converter(model, windows.shape[1:])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([window[None]] for window in windows)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    content: bytes = compact(converter.convert(), levels)
    return content


def to_float32(model: Any) -> bytes:
    """Return a TFLite flat buffer with batch 1 and float32 weights."""
    content: bytes = compact(_converter(model, model.input_shape[1:]).convert())
    return content


def _converter(model: Any, shape: tuple[int, ...]) -> Any:
    # With a batch of unknown size, some runtimes do not use their fast kernels.
    call = tf.function(lambda window: model(window, training=False))
    traced = call.get_concrete_function(tf.TensorSpec((1, *shape), tf.float32))
    return tf.lite.TFLiteConverter.from_concrete_functions([traced], model)
