"""A TFLite file as other programs read it: int8 weights, every tensor named, and floats in and out where wanted.

The shipped file has none of these (`training/compact.py`). It is unpacked and named in memory and stays as it is.
"""

from ai_edge_litert import schema_py_generated as schema

from models import tflite

INPUT = "window"
OUTPUT = "logits"
_KINDS = {
    schema.BuiltinOperator.QUANTIZE: schema.QuantizeOptionsT,
    schema.BuiltinOperator.DEQUANTIZE: schema.DequantizeOptionsT,
}


def is_int8(content: bytes) -> bool:
    """Return whether a TFLite flat buffer takes int8, not floats."""
    (graph,) = schema.ModelT.InitFromPackedBuf(content, 0).subgraphs
    return bool(graph.tensors[graph.inputs[0]].type == schema.TensorType.INT8)


def named(content: bytes) -> bytes:
    """Return the same model with int8 weights where it has four-bit ones, and a name for each tensor.

    Args:
        content: a TFLite flat buffer with one input and one output.
    """
    return tflite.write(_named(content))


def with_floats(content: bytes) -> bytes:
    """Return `named` with float32 input and output: an operator at each end quantises and dequantises.

    Args:
        content: a TFLite flat buffer with one input and one output; one of floats is only named.
    """
    model = _named(content)
    (graph,) = model.subgraphs
    if graph.tensors[graph.inputs[0]].type == schema.TensorType.INT8:
        whole, result = int(graph.inputs[0]), int(graph.outputs[0])
        graph.inputs, graph.outputs = [_float_beside(graph, whole)], [_float_beside(graph, result)]
        quantise = _operator(model, schema.BuiltinOperator.QUANTIZE, graph.inputs[0], whole)
        dequantise = _operator(model, schema.BuiltinOperator.DEQUANTIZE, result, graph.outputs[0])
        graph.operators = [quantise, *graph.operators, dequantise]
    return tflite.write(model)


def _named(content: bytes) -> schema.ModelT:
    model = schema.ModelT.InitFromPackedBuf(tflite.unpacked(content), 0)
    (graph,) = model.subgraphs
    for number, tensor in enumerate(graph.tensors):
        tensor.name = f"tensor_{number}".encode()
    graph.tensors[graph.inputs[0]].name = INPUT.encode()
    graph.tensors[graph.outputs[0]].name = OUTPUT.encode()
    return model


def _float_beside(graph: schema.SubGraphT, number: int) -> int:
    """Add a float32 tensor of the shape of another, which takes its name, and return its number."""
    inner = graph.tensors[number]
    outer = schema.TensorT()
    outer.name, inner.name = inner.name, inner.name + b"_int8"
    outer.shape, outer.type, outer.buffer = inner.shape, schema.TensorType.FLOAT32, 0
    graph.tensors.append(outer)
    return len(graph.tensors) - 1


def _operator(model: schema.ModelT, kind: int, source: int, target: int) -> schema.OperatorT:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    code.version = 1
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = [source], [target]
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, _KINDS[kind].__name__.removesuffix("T"))
    operator.builtinOptions = _KINDS[kind]()
    return operator
