"""The programs that turn a TFLite file into other formats, each in a process of its own.

They print, warn, and load TensorFlow; what remains of them here is a file or one sentence.
"""

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from models.bundle import BundleError
from models.engines import openvino_core

OPSET = 18
"""Version of ONNX's operators: old enough for every runtime of the last three years."""


def need(*packages: str) -> None:
    """Check that packages of the extra `export` are installed.

    Raises:
        BundleError: the first one that is not.
    """
    for package in packages:
        if importlib.util.find_spec(package.replace("-", "_")) is None:
            raise BundleError(
                f"this export needs the package {package}, which is not installed; "
                "run pip install -r locks/export.txt, or pip install 'moodwire[export]'"
            )


def to_onnx(content: bytes, path: Path) -> None:
    """Write a TFLite flat buffer with named tensors as an ONNX file (tf2onnx).

    Raises:
        BundleError: tf2onnx or TensorFlow is not installed, or it cannot convert the network.
    """
    need("tf2onnx", "tensorflow", "onnx")
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "model.tflite"
        source.write_bytes(content)
        _run("tf2onnx.convert", "--tflite", str(source), "--output", str(path), "--opset", str(OPSET))
    import onnx  # noqa: PLC0415 - optional

    model = onnx.load(path)
    model.graph.doc_string = ""  # names the temporary file
    onnx.save(model, path)


def to_openvino(content: bytes, path: Path) -> None:
    """Write a TFLite flat buffer with named tensors as OpenVINO IR: `path` for the graph, `.bin` beside it for weights.

    Raises:
        BundleError: OpenVINO is not installed, or cannot read the network.
    """
    need("openvino")
    core = openvino_core()
    from openvino import save_model  # noqa: PLC0415 - after `openvino_core`, which keeps it from reporting home

    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "model.tflite"
        source.write_bytes(content)
        try:
            save_model(core.read_model(source), path, compress_to_fp16=False)
        except RuntimeError as error:
            raise BundleError(f"OpenVINO cannot convert this network: {' '.join(str(error).split())}") from error


def to_c(source: Path, path: Path) -> None:
    """Write an ONNX file as C: `path` for the code, `_data.c` beside it for the weights (emx-onnx-cgen).

    Raises:
        BundleError: emx-onnx-cgen is not installed, or cannot compile the network.
    """
    need("emx-onnx-cgen")
    options = ("--large-weight-threshold", "0", "--emit-data-file", "--model-name", path.stem)
    _run("emx_onnx_cgen", "compile", *options, str(source), str(path))


def _run(module: str, *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603 - a package's own program
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = re.sub(r"\s+", " ", done.stderr or done.stdout).strip()
        raise BundleError(f"{module.partition('.')[0]} cannot convert this network: {said[-300:]}")
