"""A network as C: the array of bytes that TensorFlow Lite Micro runs, and a program that checks it on a computer.

The folder gets `model_data.c` (the TFLite file with int8 weights), `network.c` (the same network compiled by
emx-onnx-cgen), `golden.h` (one window with the logits of LiteRT), `example.c` and a `Makefile`.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from models.bundle import BundleError
from training import converters, interchange

DATA, CODE = ("model_data.c", "model_data.h", "golden.h"), ("network.c", "network_data.c", "network.h")
FILES = (*DATA, *CODE, "example.c", "Makefile")
TEMPLATES = Path(__file__).parent / "microcontroller"
MOST_STEPS = 8
"""Largest difference of a golden logit from LiteRT's, in steps of its int8 output.

Kernels that round each layer differently were up to 7 steps apart in 300 windows (`python -m trials.exports`).
"""


def write(content: bytes, folder: Path, labels: Sequence[str], window: NDArray[np.float32]) -> None:
    """Write the C files of a network into a folder.

    Args:
        content: an int8 TFLite flat buffer with one input and one output.
        folder: exists.
        labels: names of the outputs.
        window: the golden input, shape (1, …).

    Raises:
        BundleError: a converter is not installed, or cannot convert it.
    """
    array = interchange.named(content)
    network = Interpreter(model_content=array, num_threads=1)
    network.allocate_tensors()
    (into,), (out_of,) = network.get_input_details(), network.get_output_details()
    shape = [int(length) for length in into["shape"]]
    scale, zero_point = out_of["quantization"]
    (folder / "model_data.h").write_text(_data_header(array, labels, into, out_of))
    (folder / "model_data.c").write_text(
        '#include "model_data.h"\n\n'
        f"const char *const model_labels[MODEL_OUTPUTS] = {{{', '.join(_quoted(label) for label in labels)}}};\n\n"
        f"_Alignas(16) const unsigned char model_data[MODEL_BYTES] = {{\n{_lines(map(str, array), 24)}\n}};\n"
    )
    converters.to_onnx(interchange.with_floats(content), folder / "model.onnx")
    converters.to_c(folder / "model.onnx", folder / "network.c")
    (folder / "model.onnx").unlink()
    (folder / "network.h").write_text(_network_header(shape, len(labels)))
    quantised = np.clip(np.rint(window / into["quantization"][0]) + into["quantization"][1], -128, 127)
    network.set_tensor(into["index"], quantised.astype(np.int8))
    network.invoke()
    logits = (network.get_tensor(out_of["index"])[0].astype(float) - zero_point) * scale
    (folder / "golden.h").write_text(
        f"/* One window, and the logits that LiteRT gave for it. */\n#define MOST_STEPS {MOST_STEPS}\n"
        f"static const float golden_logits[] = {{{', '.join(map(_float, logits))}}};\n"
        f"static const float golden_window[] = {{\n{_lines(map(_float, window.ravel()), 8)}\n}};\n"
    )
    for template in TEMPLATES.iterdir():
        shutil.copyfile(template, folder / template.name)


def run(folder: Path, windows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compile a folder's example with the C compiler of this machine, and return its logits, shape (windows, labels).

    Raises:
        BundleError: there is no C compiler, or the program cannot be compiled or fails.
    """
    with tempfile.TemporaryDirectory() as temporary:
        program = compiled(folder, Path(temporary))
        done = subprocess.run(  # noqa: S603 - just compiled
            [program, "-"], input=windows.astype(np.float32).tobytes(), capture_output=True, check=False
        )
        if done.returncode:
            raise BundleError(f"the compiled example ends with code {done.returncode}: {done.stderr.decode()[-500:]}")
        return np.array([[float(word) for word in line.split()] for line in done.stdout.decode().splitlines()])


def compiled(folder: Path, into: Path) -> Path:
    """Return the program of a folder's example, compiled into another folder.

    Raises:
        BundleError: there is no C compiler, or it refuses the program.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise BundleError("the C files are checked by compiling them, and no C compiler (cc) is installed; install gcc")
    sources = sorted(folder.glob("*.c"))
    program = into / "example"
    done = subprocess.run(  # noqa: S603 - the system's compiler
        [compiler, "-std=c11", "-O2", "-o", program, *sources, "-lm"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BundleError(f"{folder} cannot be compiled: {done.stderr[-500:]}")
    return program


def _data_header(array: bytes, labels: Sequence[str], into: dict[str, Any], out_of: dict[str, Any]) -> str:
    (in_scale, in_zero), (out_scale, out_zero) = into["quantization"], out_of["quantization"]
    inputs = int(np.prod(into["shape"]))
    return (
        "/* A network for TensorFlow Lite Micro. Its ends are int8: real = (int8 - zero point) * scale. */\n"
        f"#define MODEL_BYTES {len(array)}\n"
        f"#define MODEL_INPUTS {inputs}\n"
        f"#define MODEL_INPUT_SCALE {_float(in_scale)}\n#define MODEL_INPUT_ZERO_POINT ({in_zero})\n"
        f"#define MODEL_OUTPUTS {len(labels)}\n"
        f"#define MODEL_OUTPUT_SCALE {_float(out_scale)}\n#define MODEL_OUTPUT_ZERO_POINT ({out_zero})\n\n"
        "extern const char *const model_labels[MODEL_OUTPUTS];\n"
        "extern const unsigned char model_data[MODEL_BYTES];\n"
    )


def _network_header(shape: Sequence[int], labels: int) -> str:
    """Return a header in which the compiled network takes plain arrays."""
    ends = "".join(f"[{length}]" for length in shape)
    inner = "".join(f"[{length}]" for length in shape[1:])
    return (
        f"void network(const float window{ends}, float logits[1][{labels}]);\n\n"
        "/* Takes one window and gives its logits, both as plain arrays. */\n"
        "static inline void run_network(const float *window, float *logits) {\n"
        f"    network((const float(*){inner})window, (float(*)[{labels}])logits);\n"
        "}\n"
    )


def _quoted(label: str) -> str:
    return '"' + label.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _float(value: Any) -> str:
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _lines(words: Iterable[str], per_line: int) -> str:
    every = list(words)
    return ",\n".join(", ".join(every[first : first + per_line]) for first in range(0, len(every), per_line))
