"""TFLite flat buffers: four-bit weights unpacked to int8, and models written without waste."""

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

IDENTIFIER = b"TFL3"
ALIGNMENT = 16
"""Bytes to which buffers are aligned, as the format demands: kernels read weights in steps of this size."""


class _Sharing(flatbuffers.Builder):  # type: ignore[misc]  # the library ships no types
    """Writes equal arrays once: each channel of each layer has the same zero point, which takes 8 bytes."""

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


def write(model: schema.ModelT) -> bytes:
    """Return a model as a flat buffer."""
    builder = _Sharing()
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def unpacked(content: bytes) -> bytes:
    """Return the same model with int8 weights where it has four-bit ones.

    LiteRT 2.3 runs convolutions with four-bit weights in kernels of its own, which take twice the time of XNNPACK's
    int8 kernels and round differently on each kind of processor. So weights have four bits only in files.

    Args:
        content: A TFLite flat buffer that LiteRT has accepted; other bytes raise errors of any kind.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    packed = [tensor for graph in model.subgraphs for tensor in graph.tensors if tensor.type == schema.TensorType.INT4]
    for tensor in packed:
        buffer = model.buffers[tensor.buffer]
        halves = np.asarray(buffer.data, np.uint8)
        values = np.stack((halves << 4, halves), axis=-1).view(np.int8) >> 4
        buffer.data = values.ravel()[: np.prod(tensor.shape)].view(np.uint8)
        tensor.type = schema.TensorType.INT8
    return write(model) if packed else content
