"""A bundle's exports beside LiteRT: `python -m trials.exports [--bundle NAME] [--run FOLDER] [--recordings FOLDER]`.

It exports the bundle to every target, in a temporary folder, and gives each runtime the golden window and 300 of the
corpus that taught it, a clip each amid its own background (without the recordings: the artificial voices by which an
export is checked). LiteRT, ONNX Runtime and OpenVINO have one thread each and take turns window by window, in random
order. Times are of the processor: on a busy machine OpenVINO's thread waits for its turn, while the others run in the
caller's. Exports of int8 are compared with the shipped file in LiteRT, those of floats with the floats in LiteRT: of
the bundle's training with `--run`, else of an untrained network of its recipe, which takes the same time. With the run
folder of a published system its network takes the bundle's place, on artificial voices. What is for microcontrollers is
compared on the first windows, and its instructions are counted by valgrind where it is installed. docs/exports.md has
the figures.
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}

import argparse
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

import models.bundle
from models import engines, tflite
from models.bundle import Bundle
from models.frontend import normalise
from training import c_program, catalogue, interchange, micro, networks, peer_network, score, size, targets
from training.backgrounds import BACKGROUNDS
from training.corpora import CorpusError
from training.networks import Logits, Network
from training.targets import TARGETS, Agreement
from trials.usage import processor

CLIPS = 300
MICRO_WINDOWS = 50
"""The kernels for microcontrollers take a hundred times as long here."""
WARM_UP = 10
SIDES = ("onnx", "openvino", "litert-float", "onnx-float", "openvino-float")
SHIPPED, FLOATS = "LiteRT, int8, as shipped", "LiteRT, float32"
RECIPES = ("ang-hap-neu", "six")
"""Those of the shipped bundles."""
Windows = NDArray[np.float32]
Run = Callable[[Windows], Logits]
"""Takes one window, shape (1, frames, mels, 1)."""


class Side(NamedTuple):
    """One runtime with one file."""

    name: str
    run: Run
    bytes: int
    peer: str
    """The side that it is compared with."""


def main() -> None:
    """Export, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m trials.exports")
    parser.add_argument("--bundle", default=models.bundle.DEFAULT)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--recordings", type=Path, default=Path("../shared/data"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if asked.run and peer_network.is_one(asked.run):
            _published(asked.run, Path(temporary))
        else:
            _bundle(asked, Path(temporary))
    used = ("ai-edge-litert", "onnxruntime", "openvino", "tf2onnx", "tflite-micro", "emx-onnx-cgen")
    print(", ".join(f"{name} {version(name)}" for name in used) + f", Python {platform.python_version()}")
    print(f"{processor()}, {os.cpu_count()} cores, one thread each; load {os.getloadavg()[0]:.1f}")


def _bundle(asked: argparse.Namespace, folder: Path) -> None:
    """Measure all exports of a bundle."""
    made = models.bundle.load(models.bundle.find(asked.bundle))
    network = networks.network_of(made)
    windows, heard = _windows(made, asked.recordings, network.windows)
    print(f"{made.manifest.name}: {heard}")
    floats = networks.network_of(made, asked.run, is_float=True) if asked.run else _untrained(made, network.windows)
    for name in SIDES:
        (folder / name).mkdir()
        targets.make(TARGETS[name], floats if TARGETS[name].is_float else network, folder / name)
    engine = engines.litert(made.folder, made.model)
    shipped = Side(SHIPPED, engine.run, len(made.model), SHIPPED)
    _beside([shipped, *(_side(name, folder / name) for name in SIDES)], windows, network)
    _micro(made.model, network, windows[:MICRO_WINDOWS], folder / "c")


def _published(run: Path, folder: Path) -> None:
    """Measure the exports of a published system's network: of floats, and of int8 where the training left that."""
    floats = peer_network.network_of(run, is_float=True)
    print(f"{run.parent.name}: {len(floats.windows)} artificial voices")
    names = [name for name in SIDES if TARGETS[name].is_float]
    for name in names:
        (folder / name).mkdir()
        targets.make(TARGETS[name], floats, folder / name)
    _beside([_side(name, folder / name) for name in names], floats.windows, floats)
    if (run / peer_network.INT8).is_file():
        network = peer_network.network_of(run, is_float=False)
        _micro(network.content, network, network.windows[:MICRO_WINDOWS], folder / "c")


def _windows(made: Bundle, recordings: Path, otherwise: Windows) -> tuple[Windows, str]:
    """Return the golden window and those of recordings, and what they are."""
    corpus = catalogue.taught(made.manifest)[0]
    try:
        clips = catalogue.read(corpus, recordings, made.manifest.labels)
    except CorpusError:
        return otherwise, f"the golden window and {len(otherwise) - 1} of artificial voices, as there are no recordings"
    chosen = np.random.default_rng(1).permutation(len(clips))[:CLIPS]
    frames = score.windows([clips[number] for number in chosen], made.manifest, {"own": BACKGROUNDS["own"]})
    real = np.stack([normalise(window) for window in frames])[..., None].astype(np.float32)
    return np.concatenate(
        [otherwise[:1], real]
    ), f"the golden window and {len(real)} of {catalogue.CORPORA[corpus].title}"


def _untrained(made: Bundle, windows: Windows) -> Network:
    """Return the network of a bundle's recipe before training, in floats."""
    from training import fit, quantise, recipe  # noqa: PLC0415 - TensorFlow takes seconds

    plan = next(found for name in RECIPES if (found := recipe.load(name)).sha256 == made.manifest.recipe_sha256)
    model = fit.untrained(plan, len(plan.labels))
    logits = model.predict(windows, verbose=0).astype(np.float64)
    return Network(quantise.to_float32(model), plan.labels, 1.0, windows, logits)


def _side(name: str, folder: Path) -> Side:
    target = TARGETS[name]
    start = {"onnx": engines.onnx, "openvino": engines.openvino}.get(target.runtime or "")
    path = folder / target.files[0]
    engine = start(path) if start else engines.litert(path, path.read_bytes())
    (runtime,) = target.runs
    return Side(
        f"{runtime}, {'float32' if target.is_float else 'int8'}",
        engine.run,
        sum((folder / file).stat().st_size for file in target.files),
        FLOATS if target.is_float else SHIPPED,
    )


def _beside(sides: Sequence[Side], windows: Windows, network: Network) -> None:
    """Print how far each side is from its peer, and how long it takes beside the first one."""
    found: dict[str, list[Logits]] = {side.name: [] for side in sides}
    taken: dict[str, list[float]] = {side.name: [] for side in sides}
    order = random.Random(0)
    for number, window in enumerate([*windows[:WARM_UP], *windows]):
        for side in order.sample(sides, len(sides)):
            start_s = time.process_time()
            logits = side.run(window[None])
            ms = (time.process_time() - start_s) * 1000
            if number >= WARM_UP:
                taken[side.name].append(ms)
                found[side.name].append(logits)
    print(f"{'':<26} {'bytes':>8} {'logit':>8} {'probability':>11} {'same':>7} {'ms':>6} {'ratio':>6}")
    for side in sides:
        peer = network._replace(logits=np.stack(found[side.peer]))
        agreement = targets.compare(peer, np.stack(found[side.name]))
        pairs = zip(taken[side.name], taken[sides[0].name], strict=True)
        ratio = statistics.median(mine / theirs for mine, theirs in pairs)
        ms = statistics.median(taken[side.name])
        print(f"{side.name:<26} {side.bytes:>8,} {_row(agreement)} {ms:6.2f} {ratio:6.2f}")


def _row(agreement: Agreement) -> str:
    return f"{agreement.logit:8.2g} {agreement.probability:11.2g} {agreement.same:7.1%}"


def _micro(shipped: bytes, network: Network, windows: Windows, folder: Path) -> None:
    """Print what a network of int8 takes on a microcontroller, as far as that can be known without one."""
    folder.mkdir()
    targets.make(TARGETS["c"], network, folder)
    array = interchange.named(shipped)
    reference, step = _reference(array, windows)
    print(f"\nmultiply-adds a window       {size.multiply_adds(shipped):,}")
    forms = {"int8 weights": array}
    if tflite.unpacked(shipped) != shipped:
        forms["four-bit weights, as shipped"] = shipped
    for name, content in forms.items():
        start_s = time.perf_counter()
        logits = micro.run(content, windows)
        ms = (time.perf_counter() - start_s) * 1000 / len(windows)
        steps = np.abs(logits - reference) / step
        print(
            f"TFLM, {name:<28} {len(content):,} bytes of flash, {micro.arena_bytes(content):,} bytes of arena, "
            f"{ms:.0f} ms here; from LiteRT's reference kernels {steps.max():.0f} steps at most, "
            f"{(steps < 0.5).mean():.1%} equal"
        )
    steps = np.abs(c_program.run(folder, windows) - reference) / step
    print(f"compiled from ONNX           {steps.max():.0f} steps from LiteRT's reference kernels at most")
    if shutil.which("valgrind"):
        print(f"  instructions a window      {_instructions_of_example(folder):,} (x86-64, gcc -O2)")
        counts = [_instructions_of_micro(array, windows) for windows in (1, 2)]
        print(f"TFLM, instructions a window  {counts[1] - counts[0]:,} (x86-64, its reference kernels)")


def _reference(content: bytes, windows: Windows) -> tuple[Logits, float]:
    """Return the logits of LiteRT's reference kernels, and the step of its output."""
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    interpreter.allocate_tensors()
    (into,), (out_of,) = interpreter.get_input_details(), interpreter.get_output_details()
    (scale, zero_point), found = out_of["quantization"], []
    for window in windows:
        quantised = np.clip(np.rint(window[None] / into["quantization"][0]) + into["quantization"][1], -128, 127)
        interpreter.set_tensor(into["index"], quantised.astype(np.int8))
        interpreter.invoke()
        found.append((interpreter.get_tensor(out_of["index"])[0].astype(float) - zero_point) * scale)
    return np.stack(found), float(scale)


def _instructions_of_example(folder: Path) -> int:
    with tempfile.TemporaryDirectory() as temporary:
        return _instructions(["--toggle-collect=network"], [str(c_program.compiled(folder, Path(temporary)))])


def _instructions_of_micro(content: bytes, windows: int) -> int:
    code = (
        "import sys, numpy; from tflite_micro import runtime; "
        f"made = runtime.Interpreter.from_file(sys.argv[1], arena_size={micro.ARENA_BYTES}); "
        "zeros = numpy.zeros(made.get_input_details(0)['shape'], numpy.int8)\n"
        f"for _ in range({windows}): made.set_input(zeros, 0); made.invoke()"
    )
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(content)
        file.flush()
        return _instructions([], [sys.executable, "-c", code, file.name])


def _instructions(options: Sequence[str], argv: Sequence[str]) -> int:
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *options, *argv],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(re.findall(r"Collected : (\d+)", done.stderr)[0])


if __name__ == "__main__":
    main()
