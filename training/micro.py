"""TensorFlow Lite Micro on this machine, as a Python package: the interpreter that microcontrollers have.

Its package exists for Linux on x86-64 only. It runs the kernels that the maker calls reference kernels; those for a
microcontroller's own instructions (CMSIS-NN, ESP-NN) give the same integers.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.bundle import BundleError
from training import c_program

NAME = "TensorFlow Lite Micro"
ARENA_BYTES = 4 << 20
"""Memory in which it plans; it uses what it needs of it."""


def is_installed() -> bool:
    """Return whether the package is there."""
    return importlib.util.find_spec("tflite_micro") is not None


def run_array(folder: Path, windows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logits for windows, shape (n, labels), of the array in a folder of C files.

    The bytes are those that the compiled example writes, so that the text of the array is checked too.

    Raises:
        BundleError: the example cannot be compiled.
    """
    with tempfile.TemporaryDirectory() as temporary:
        program = c_program.compiled(folder, Path(temporary))
        array = subprocess.run([program, "array"], capture_output=True, check=True).stdout  # noqa: S603 - just compiled
    return run(array, windows)


def run(content: bytes, windows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logits of a TFLite flat buffer with int8 input and output, shape (n, labels).

    Raises:
        BundleError: it cannot be run.
    """
    from tflite_micro import runtime  # noqa: PLC0415 - optional

    try:
        interpreter = runtime.Interpreter.from_bytes(content, arena_size=ARENA_BYTES)
    except RuntimeError as error:
        raise BundleError(f"{NAME} cannot run this network: {error}") from error
    (in_scale, in_zero), (out_scale, out_zero) = (
        (end["quantization_parameters"]["scales"][0], end["quantization_parameters"]["zero_points"][0])
        for end in (interpreter.get_input_details(0), interpreter.get_output_details(0))
    )
    found = []
    for window in windows:
        quantised = np.clip(np.rint(window[None] / in_scale) + in_zero, -128, 127).astype(np.int8)
        interpreter.set_input(quantised, 0)
        interpreter.invoke()
        found.append((interpreter.get_output(0)[0].astype(np.float64) - out_zero) * out_scale)
    return np.stack(found)


def arena_bytes(content: bytes) -> int:
    """Return how much of the arena a TFLite flat buffer needs.

    Raises:
        BundleError: it cannot be run.
    """
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(content)
        file.flush()
        done = subprocess.run(  # noqa: S603 - only a process of its own lets its messages be read
            [sys.executable, "-c", _ALLOCATIONS, file.name], capture_output=True, text=True, check=False
        )
    total = [line for line in (done.stdout + done.stderr).splitlines() if "Arena allocation total" in line]
    if not total:
        raise BundleError(f"{NAME} cannot run this network: {done.stderr[-300:]}")
    return int(total[0].split()[-2])


_ALLOCATIONS = f"""
import sys
from tflite_micro import runtime
runtime.Interpreter.from_file(sys.argv[1], arena_size={ARENA_BYTES}).print_allocations()
"""
