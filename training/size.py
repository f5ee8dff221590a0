"""Counts the work of a TFLite model."""

import math

from ai_edge_litert import schema_py_generated as schema

CONVOLUTIONS = {schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D}


def multiply_adds(content: bytes) -> int:
    """Return the multiply-accumulate operations (MACs) for one window."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = model.subgraphs
    return sum(_of(operator, model, graph.tensors) for operator in graph.operators)


def _of(operator: schema.OperatorT, model: schema.ModelT, tensors: list[schema.TensorT]) -> int:
    code = model.operatorCodes[operator.opcodeIndex].builtinCode
    if code not in {*CONVOLUTIONS, schema.BuiltinOperator.FULLY_CONNECTED}:
        return 0
    weights = [int(length) for length in tensors[operator.inputs[1]].shape]
    result = [int(length) for length in tensors[operator.outputs[0]].shape]
    if code == schema.BuiltinOperator.DEPTHWISE_CONV_2D:
        return math.prod(result) * math.prod(weights[1:3])
    return math.prod(result) * math.prod(weights[1:])
