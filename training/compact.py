"""A TFLite file without what the runtime does not need: a third smaller, and the same model."""

from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

from training import rounding
from training.recipe import INT8_LEVELS

IDENTIFIER = b"TFL3"
ALIGNMENT = 16
"""Kernels read weights in steps of so many bytes; the format wants a buffer's content to begin at a multiple of it."""


class _Sharing(flatbuffers.Builder):
    """Writes equal arrays once: every channel of every layer has a zero point of 0, as 8 bytes."""

    def __init__(self) -> None:
        super().__init__(1 << 16)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, array: NDArray[Any]) -> int:  # noqa: N802 - the name is the library's
        key = (array.dtype.str, array.tobytes())
        if key not in self._written:
            content = key[1]
            self.StartVector(array.itemsize, array.size, ALIGNMENT if array.dtype == np.uint8 else array.itemsize)
            self.head -= len(content)
            self.Bytes[self.head : self.head + len(content)] = content
            self._written[key] = self.EndVector()
        return self._written[key]


def compact(content: bytes, levels: int = INT8_LEVELS) -> bytes:
    """Return the same model in fewer bytes, and in still fewer when they are compressed.

    Names of tensors and the converter's notes are gone, equal arrays are written once, tensors without content share
    the empty buffer, and the scales of filters have the 16 bits of a bfloat16: they are at most 0.4 % off, which an
    answer may show in its last bit.

    Args:
        content: a TFLite flat buffer.
        levels: how many values its pointwise weights have on either side of 0; 7 or fewer are stored in four bits.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    if levels <= rounding.INT4_LEVELS:
        rounding.pack(model, levels)
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            tensor.name = None
            if tensor.quantization is not None:
                _simplify(tensor.quantization)
    _keep_used_buffers(model)
    model.description = model.metadata = model.signatureDefs = None
    builder = _Sharing()
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _keep_used_buffers(model: schema.ModelT) -> None:
    """Drop all buffers but those that hold the content of a tensor, and the empty one that the format puts first."""
    kept = [schema.BufferT()]
    places = {number: 0 for number, buffer in enumerate(model.buffers) if buffer.data is None or len(buffer.data) == 0}
    for tensor in (tensor for subgraph in model.subgraphs for tensor in subgraph.tensors):
        if tensor.buffer not in places:
            places[tensor.buffer] = len(kept)
            kept.append(model.buffers[tensor.buffer])
        tensor.buffer = places[tensor.buffer]
    model.buffers = kept


def _simplify(quantization: Any) -> None:
    quantization.min = quantization.max = None
    if quantization.scale is not None and len(quantization.scale) > 1:
        scale = quantization.scale.astype(np.float32).view(np.uint32)
        quantization.scale = ((scale + (1 << 15)) & ~np.uint32((1 << 16) - 1)).view(np.float32)
