"""Engines: each runs a bundle's network in one thread, floats in and out.

LiteRT runs `model.tflite`. ONNX Runtime and OpenVINO run what `moodwire bundle export` wrote beside it; their packages
are loaded only when they are asked for, and no device needs them.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from models import tflite
from models.bundle import Bundle, BundleError

Run = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""Takes a normalised window, shape (1, frames, mels, 1), and returns the logits, shape (labels,)."""


class Engine(NamedTuple):
    """A network that is ready to run."""

    path: Path
    """Its file, for messages."""
    takes: tuple[int, ...]
    gives: tuple[int, ...]
    run: Run


def litert(path: Path, content: bytes) -> Engine:
    """Return a TFLite model in LiteRT.

    Args:
        path: its file, for messages.
        content: what is in it.

    Raises:
        BundleError: it is no TFLite model, or has not one input and one output.
    """
    try:
        Interpreter(model_content=content)  # refuses what is no model, before it is unpacked
        interpreter = Interpreter(model_content=tflite.unpacked(content), num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise BundleError(f"{path} is not a model LiteRT can run: {error}") from error
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    _check_ends(path, inputs, outputs)
    (into,), (out_of,) = inputs, outputs

    def run(window: NDArray[np.float32]) -> NDArray[np.float64]:
        interpreter.set_tensor(into["index"], _quantise(window, into))
        interpreter.invoke()
        return _dequantise(interpreter.get_tensor(out_of["index"])[0], out_of)

    return Engine(path, tuple(into["shape"].tolist()), tuple(out_of["shape"].tolist()), run)


def onnx(path: Path) -> Engine:
    """Return an ONNX file in ONNX Runtime.

    Raises:
        BundleError: it cannot be run, or the package is not installed.
    """
    try:
        import onnxruntime  # noqa: PLC0415 - optional
    except ImportError as error:
        raise _missing("onnx", "onnxruntime", error) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        inputs, outputs = session.get_inputs(), session.get_outputs()
        _check_ends(path, inputs, outputs)
        takes, gives = tuple(inputs[0].shape), tuple(outputs[0].shape)
        session.run(None, {inputs[0].name: np.zeros(takes, np.float32)})  # refuses another type than floats
    except BundleError:
        raise
    except Exception as error:  # its exceptions have no common class but this
        raise BundleError(f"{path} is not a model ONNX Runtime can run: {error}; export it again") from error

    def run(window: NDArray[np.float32]) -> NDArray[np.float64]:
        logits: NDArray[np.float64] = session.run(None, {inputs[0].name: window})[0][0].astype(np.float64)
        return logits

    return Engine(path, takes, gives, run)


def openvino(path: Path) -> Engine:
    """Return the graph of an OpenVINO IR, with its weights in the `.bin` beside it, in OpenVINO.

    Raises:
        BundleError: it cannot be run, or the package is not installed.
    """
    core = openvino_core()
    # Without the hint, processors that have bfloat16 compute with its 8 bits of precision.
    options = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    try:
        network = core.compile_model(path, "CPU", options)
        _check_ends(path, network.inputs, network.outputs)
        takes, gives = tuple(network.input(0).shape), tuple(network.output(0).shape)  # raises where it is not fixed
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise BundleError(f"{path} is not a model OpenVINO can run: {reason}; export it again") from error
    request, output = network.create_infer_request(), network.output(0)

    def run(window: NDArray[np.float32]) -> NDArray[np.float64]:
        logits: NDArray[np.float64] = request.infer([window])[output][0].astype(np.float64)
        return logits

    return Engine(path, takes, gives, run)


def openvino_core() -> Any:
    """Return OpenVINO's core, loaded without the part that reports each import to its maker.

    `import openvino` sends an event to Google Analytics and writes an id into the home folder, unless somebody has
    refused. Without the package `openvino-telemetry` it does neither, so this process does as if it was not installed.

    Raises:
        BundleError: OpenVINO is not installed.
    """
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # its import fails, as for a missing one
    try:
        from openvino import Core  # noqa: PLC0415 - optional
    except ImportError as error:
        raise _missing("openvino", "openvino", error) from error
    return Core()


RUNTIMES: dict[str, Callable[[Bundle], Engine]] = {
    "litert": lambda bundle: litert(bundle.folder / "model.tflite", bundle.model),
    "onnx": lambda bundle: onnx(_exported(bundle.folder / "model.onnx", "onnx")),
    "openvino": lambda bundle: openvino(_exported(bundle.folder / "model.xml", "openvino")),
}
"""What runs a bundle, by the name that the setting `runtime` has for it; each raises BundleError."""


def _exported(path: Path, runtime: str) -> Path:
    if not path.is_file():
        raise BundleError(
            f"{path} is not there, and runtime {runtime} runs it; make it with "
            f"moodwire bundle export --to {runtime}, or set runtime to litert"
        )
    return path


def _missing(runtime: str, package: str, error: ImportError) -> BundleError:
    return BundleError(
        f"runtime {runtime} needs the package {package}, which is not installed ({error}); "
        f"run pip install {package}, or set runtime to litert"
    )


def _check_ends(path: Path, inputs: Any, outputs: Any) -> None:
    if len(inputs) != 1 or len(outputs) != 1:
        raise BundleError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs; export it with one each")


def _quantise(values: NDArray[np.float32], tensor: dict[str, Any]) -> NDArray[Any]:
    if tensor["dtype"] == np.float32:
        return values
    scale, zero_point = tensor["quantization"]
    limits = np.iinfo(tensor["dtype"])
    quantised: NDArray[Any] = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max)
    return quantised.astype(tensor["dtype"])


def _dequantise(values: NDArray[Any], tensor: dict[str, Any]) -> NDArray[np.float64]:
    if tensor["dtype"] == np.float32:
        return values.astype(np.float64)
    scale, zero_point = tensor["quantization"]
    real: NDArray[np.float64] = (values.astype(np.float64) - zero_point) * scale
    return real
