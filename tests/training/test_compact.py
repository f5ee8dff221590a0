"""A compact model file is the same model, and weights with few values take little room."""

import zlib
from typing import Any

import numpy as np
import pytest
import tf_keras
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from tf_keras import layers

from models import tflite
from training import quantise, rounding
from training.compact import compact

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(1)
WINDOWS = RNG.random((4, 20, 16, 1), np.float32)


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return an int8 model as the converter leaves it."""
    monkeypatch.setattr(quantise, "compact", lambda content, _levels: content)
    return quantise.to_int8(network(), WINDOWS)


def network() -> Any:
    """Return a model with one pointwise convolution, the same each time."""
    tf_keras.utils.set_random_seed(1)
    inputs = layers.Input((20, 16, 1))
    tensor = layers.Conv2D(32, 1)(layers.Conv2D(32, 3)(inputs))
    return tf_keras.Model(inputs, layers.GlobalAveragePooling2D()(tensor))


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
    """Every output is the same but for its last bit, at least 1,000 bytes are gone, and no more can be left out."""
    after = compact(converted)

    np.testing.assert_allclose(answer(after), answer(converted), atol=1)
    assert len(set(answer(after))) > 3
    assert len(after) < len(converted) - 1_000
    assert len(zlib.compress(after, 9)) < len(zlib.compress(converted, 9)) - 400
    assert compact(after) == after


def test_weights_are_aligned(converted: bytes) -> None:
    """Every constant begins at a multiple of 16 bytes, as the kernels of some processors need."""
    assert aligned(compact(converted))


def aligned(content: bytes) -> bool:
    """Return whether all constants of a file begin at a multiple of 16 bytes."""
    file = np.frombuffer(content, np.uint8)
    model = schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(number) for number in range(model.BuffersLength())]
    constants = [buffer.DataAsNumpy() for buffer in buffers if buffer.DataLength()]
    assert len(constants) >= 4
    return {(constant.ctypes.data - file.ctypes.data) % 16 for constant in constants} == {0}


def test_no_buffer_lies_idle(converted: bytes) -> None:
    """What no tensor holds is gone, and tensors without content have the first buffer, which is empty."""
    model = schema.ModelT.InitFromPackedBuf(compact(converted), 0)

    assert {tensor.buffer for tensor in model.subgraphs[0].tensors} == set(range(len(model.buffers)))
    assert [number for number, buffer in enumerate(model.buffers) if buffer.data is None] == [0]


def test_few_values_of_a_weight_take_half_the_room() -> None:
    """Weights with 7 values on either side of 0 are stored in four bits; the model says the same."""
    model = network()
    for kernel in rounding.kernels(model):
        kernel.assign(rounding.rounded(kernel, 7))

    plain, packed = quantise.to_int8(model, WINDOWS), quantise.to_int8(model, WINDOWS, levels=7)

    assert len(packed) == pytest.approx(len(plain) - 32 * 32 / 2, abs=16)
    assert len(zlib.compress(packed, 9)) < len(zlib.compress(plain, 9))
    np.testing.assert_allclose(answer(packed), answer(plain), atol=1)
    assert len(set(answer(packed))) > 3


def test_four_bits_are_made_eight_before_they_run() -> None:
    """The runtime is given the same values as int8, which its fast kernels take, and any other model as it is."""
    model = network()
    (kernel,) = rounding.kernels(model)
    kernel.assign(rounding.rounded(kernel, 7))
    plain, packed = quantise.to_int8(model, WINDOWS), quantise.to_int8(model, WINDOWS, levels=7)

    found = tflite.unpacked(packed)

    scale, values = pointwise(found)
    np.testing.assert_allclose(values * scale, kernel.numpy()[0, 0].T, rtol=0.005)
    np.testing.assert_allclose(answer(found), answer(plain), atol=1)
    assert aligned(found)
    assert tflite.unpacked(plain) == plain


def pointwise(content: bytes) -> tuple[Any, Any]:
    """Return scale and int8 values of the weights of the pointwise convolution, shape (filters, 1) and (filters, n)."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (tensor,) = (one for one in model.subgraphs[0].tensors if tuple(one.shape) == (32, 1, 1, 32))
    assert tensor.type == schema.TensorType.INT8
    return tensor.quantization.scale[:, None], model.buffers[tensor.buffer].data.view(np.int8).reshape(32, 32)
