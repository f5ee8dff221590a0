"""A compact model file is the same model, and one with few values of its weights a smaller one."""

import zlib
from typing import Any

import numpy as np
import pytest
import tf_keras
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema
from tf_keras import layers

from training import quantise
from training.compact import compact

RNG = np.random.default_rng(1)
WINDOWS = RNG.random((4, 20, 16, 1), np.float32)


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return an int8 model as the converter leaves it."""
    monkeypatch.setattr(quantise, "compact", bytes)
    return quantise.to_int8(network(), WINDOWS)


def network() -> Any:
    """Return a model with one pointwise convolution, the same each time."""
    tf_keras.utils.set_random_seed(1)
    inputs = layers.Input((20, 16, 1))
    tensor = layers.Conv2D(32, 1)(layers.Conv2D(32, 3)(inputs))
    return tf_keras.Model(inputs, layers.GlobalAveragePooling2D()(tensor))


def pointwise(content: bytes) -> NDArray[np.int8]:
    """Return the weights of the pointwise convolution, shape (filters, 1, 1, channels)."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (found,) = (tensor for tensor in model.subgraphs[0].tensors if list(tensor.shape) == [32, 1, 1, 32])
    return np.asarray(model.buffers[found.buffer].data, np.uint8).view(np.int8).reshape(32, 1, 1, 32)


def answer(content: bytes) -> list[int]:
    """Return what the runtime says to the same input."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(given["index"], (WINDOWS[:1] * 255 - 128).astype(np.int8))
    interpreter.invoke()
    values: list[int] = interpreter.get_tensor(found["index"])[0].tolist()
    return values


def test_a_compact_model_says_the_same_and_is_smaller(converted: bytes) -> None:
    """Every output is the same to the last bit, at least 1,000 bytes are gone, and nothing more can be left out."""
    after = compact(converted)

    assert answer(after) == answer(converted)
    assert len(set(answer(after))) > 3
    assert len(after) < len(converted) - 1_000
    assert compact(after) == after


def test_weights_are_aligned(converted: bytes) -> None:
    """Every constant begins at a multiple of 16 bytes, as the kernels of some processors need."""
    after = compact(converted)

    file = np.frombuffer(after, np.uint8)
    model = schema.Model.GetRootAs(after, 0)
    buffers = [model.Buffers(number) for number in range(model.BuffersLength())]
    constants = [buffer.DataAsNumpy() for buffer in buffers if buffer.DataLength()]
    assert len(constants) >= 4
    assert {(constant.ctypes.data - file.ctypes.data) % 16 for constant in constants} == {0}


def test_few_values_of_a_weight_compress_better() -> None:
    """With 4 levels each filter's weights have 9 values at most, and the model says about the same."""
    model = network()

    coarse, fine = quantise.to_int8(model, WINDOWS, levels=4), quantise.to_int8(model, WINDOWS)

    assert max(len(np.unique(weights)) for weights in pointwise(coarse)) <= 9
    assert max(len(np.unique(weights)) for weights in pointwise(fine)) > 20
    assert len(zlib.compress(coarse, 9)) < len(zlib.compress(fine, 9)) - 300
    np.testing.assert_allclose(answer(coarse), answer(fine), atol=30)
    assert answer(coarse) != answer(fine)
