"""`moodwire bundle export`: writes a bundle's network for another runtime, after comparing it with LiteRT.

The folder that it writes is a bundle still, with the exported files beside its four, so that a device can run it.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import typed_settings as ts
from numpy.typing import NDArray

import models.bundle
from models import engines, packing
from models.bundle import Bundle, BundleError
from models.engines import Engine
from models.frontend import Frames, Samples, normalise
from models.runtime import load_verified, softmax, synthetic_clip
from training import c_program, converters, interchange, micro
from training.recipe import RecipeError

FLOAT_TOLERANCE = 1e-4
"""Largest difference of a logit of a float export from the float network's."""
INT8_TOLERANCE = 0.1
"""Largest difference of a probability of an int8 export from LiteRT's; a device allows the same of the golden one."""
LEAST_SAME = 0.97
"""Share of the windows to which an int8 export must give LiteRT's answer."""
WINDOWS = 100
"""Windows over which an export is compared."""
LEAST_MARGIN = 0.5
"""How far a network's two best logits must be apart for its answer to count in this comparison.

Artificial voices are nothing that it has learned, so it hesitates: kernels that round differently move a logit by up to
0.47 (`python -m trials.exports`), and an answer that hangs by less says nothing about the export.
"""

Logits = NDArray[np.float64]


class Network(NamedTuple):
    """A trained network, and what it says to some windows."""

    content: bytes
    """A TFLite flat buffer."""
    labels: tuple[str, ...]
    temperature: float
    windows: NDArray[np.float32]
    """Inputs, shape (n, …), the golden one first."""
    logits: Logits
    """What it says to them, shape (n, labels)."""


Write = Callable[[Network, Path], None]
Run = Callable[[Path, NDArray[np.float32]], Logits]


class Target(NamedTuple):
    """Something that a network can be exported to."""

    title: str
    files: tuple[str, ...]
    write: Write
    """Writes the files into a folder."""
    runs: Mapping[str, Run]
    """What runs them on this machine, by name."""
    is_float: bool = False
    """Whether it starts from the network before quantisation."""
    runtime: str | None = None
    """What a device's setting `runtime` calls it, if a device can run it."""
    exact: bool = False
    """Whether not a bit may differ."""


class Agreement(NamedTuple):
    """How far an export is from the network that it was made of, over all windows."""

    logit: float
    probability: float
    same: float
    """Share of the decided windows with the same answer; 1 if there is none."""
    decided: int
    """Windows whose answer counts."""


def _with(name: str, start: Callable[[Path], Engine]) -> Run:
    """Return what starts an engine with a file of a folder, and gives it all windows."""

    def run(folder: Path, windows: NDArray[np.float32]) -> Logits:
        engine = start(folder / name)
        return np.stack([engine.run(window[None]) for window in windows])

    return run


def _litert(name: str) -> Mapping[str, Run]:
    return {"LiteRT": _with(name, lambda path: engines.litert(path, path.read_bytes()))}


def _onnx(network: Network, folder: Path) -> None:
    converters.to_onnx(interchange.with_floats(network.content), folder / "model.onnx")


def _openvino(network: Network, folder: Path) -> None:
    converters.to_openvino(interchange.with_floats(network.content), folder / "model.xml")


def _int8_file(network: Network, folder: Path) -> None:
    (folder / "model-int8.tflite").write_bytes(interchange.named(network.content))


def _float_file(network: Network, folder: Path) -> None:
    (folder / "model-float.tflite").write_bytes(interchange.named(network.content))


def _c(network: Network, folder: Path) -> None:
    c_program.write(network.content, folder, network.labels, network.windows[:1])


ONNX = {"ONNX Runtime": _with("model.onnx", engines.onnx)}
OPENVINO = {"OpenVINO": _with("model.xml", engines.openvino)}
C = {"the compiled example": c_program.run, "TensorFlow Lite Micro": micro.run_array}
TARGETS = {
    "litert-int8": Target("LiteRT, int8", ("model-int8.tflite",), _int8_file, _litert("model-int8.tflite"), exact=True),
    "litert-float": Target(
        "LiteRT, float32", ("model-float.tflite",), _float_file, _litert("model-float.tflite"), is_float=True
    ),
    "onnx": Target("ONNX, int8", ("model.onnx",), _onnx, ONNX, runtime="onnx"),
    "onnx-float": Target("ONNX, float32", ("model.onnx",), _onnx, ONNX, is_float=True, runtime="onnx"),
    "openvino": Target("OpenVINO IR, int8", ("model.xml", "model.bin"), _openvino, OPENVINO, runtime="openvino"),
    "openvino-float": Target(
        "OpenVINO IR, float32", ("model.xml", "model.bin"), _openvino, OPENVINO, is_float=True, runtime="openvino"
    ),
    "c": Target("C, int8", c_program.FILES, _c, C),
}


@ts.settings(frozen=True)
class ExportSettings:
    """Settings of `moodwire bundle export`."""

    folder: Path = ts.option(
        default=Path("export"),
        help="what gets the exported files, and the bundle's own beside them",
        argparse={"param_decls": "folder", "nargs": "?", "metavar": "OUT"},
    )
    to: str = ts.option(default="onnx", help=f"what to write: {', '.join(TARGETS)}")
    bundle: str = ts.option(default=models.bundle.DEFAULT, help="name of a shipped bundle, or folder of any bundle")
    run: Path | None = ts.option(
        default=None,
        help="run folder whose network a float export starts from; else the bundle's own folder, if it is one",
    )

    def __attrs_post_init__(self) -> None:
        """Refuse an unknown target.

        Raises:
            ValueError: the text says what to choose.
        """
        if self.to not in TARGETS:
            raise ValueError(f"to is {self.to!r}: choose one of {', '.join(TARGETS)}")


def export(settings: ExportSettings) -> int:
    """Export a bundle, and print what was written; return the exit code, 2 for bad input."""
    target = TARGETS[settings.to]
    try:
        made = load_verified(models.bundle.find(settings.bundle)).bundle
        _check_out(settings.folder, made)
        network = network_of(made, settings.run, is_float=target.is_float)
        settings.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=settings.folder) as temporary:
            stage = Path(temporary)
            found = make(target, network, stage)
            for name in packing.FILES:
                shutil.copyfile(made.folder / name, stage / name)
            if target.runtime:
                load_verified(stage, target.runtime)
            for name in (*packing.FILES, *target.files):
                (stage / name).replace(settings.folder / name)
    except (BundleError, RecipeError, OSError) as error:
        print(f"moodwire bundle export: {error}", file=sys.stderr)
        return 2
    for name in target.files:
        print(f"{settings.folder / name}: {(settings.folder / name).stat().st_size:,} bytes")
    for name, agreement in found.items():
        print(f"{name}: {_sentence(agreement)}")
    for name in target.runs.keys() - found.keys():
        print(f"{name}: not run, because its package is not installed or not made for this platform")
    return 0


def make(target: Target, network: Network, folder: Path) -> dict[str, Agreement]:
    """Write a network's export into a folder, run it, and return how well each runtime agrees with the network.

    Raises:
        BundleError: a package is missing, the network cannot be converted, or the export differs too much.
    """
    if target.is_float != (not interchange.is_int8(network.content)):
        kind, other = ("float32", "int8") if target.is_float else ("int8", "float32")
        raise BundleError(f"{target.title} needs a network of {kind}, and this one is {other}; choose another target")
    target.write(network, folder)
    found = {}
    for name, run in target.runs.items():
        if name == micro.NAME and not micro.is_installed():
            continue
        agreement = compare(network, run(folder, network.windows), LEAST_MARGIN)
        if not _is_allowed(target, agreement):
            raise BundleError(
                f"{target.title} is not written: in {name} its {_sentence(agreement)}; {_allowed(target)}"
            )
        found[name] = agreement
    return found


def compare(network: Network, logits: Logits, least_margin: float = 0.0) -> Agreement:
    """Return how far logits, shape (n, labels), are from a network's own; `least_margin` is as `LEAST_MARGIN`."""
    ours, theirs = (softmax(values / network.temperature) for values in (network.logits, logits))
    best = np.sort(network.logits, axis=1)
    decided = best[:, -1] - best[:, -2] >= least_margin
    same = (network.logits.argmax(axis=1) == logits.argmax(axis=1))[decided]
    return Agreement(
        float(np.abs(network.logits - logits).max()),
        float(np.abs(ours - theirs).max()),
        float(same.mean()) if len(same) else 1.0,
        len(same),
    )


def _is_allowed(target: Target, found: Agreement) -> bool:
    if target.exact:
        return found.logit == 0
    if target.is_float:
        return found.logit <= FLOAT_TOLERANCE
    return found.probability <= INT8_TOLERANCE and found.same >= LEAST_SAME


def _allowed(target: Target) -> str:
    if target.exact:
        return "no difference is allowed"
    if target.is_float:
        return f"{FLOAT_TOLERANCE} of a logit is allowed"
    return f"{INT8_TOLERANCE} of a probability and {LEAST_SAME:.0%} are allowed"


def _sentence(found: Agreement) -> str:
    return (
        f"logits differ by up to {found.logit:.2g}, probabilities by up to {found.probability:.2g}, "
        f"and {found.same:.0%} of {found.decided} decided windows get the same answer"
    )


def _check_out(out: Path, made: Bundle) -> None:
    try:
        other = (out / "model.tflite").read_bytes()
    except FileNotFoundError:
        return
    if other != made.model:
        raise BundleError(f"{out} holds the bundle of another model; give another folder")


def network_of(made: Bundle, run: Path | None = None, *, is_float: bool = False) -> Network:
    """Return a bundle's network as it is, or as it was before quantisation, with what it says to `check_windows`.

    Args:
        made: the bundle.
        run: run folder that holds the floats; None: the bundle's own folder.
        is_float: whether to return the floats.

    Raises:
        BundleError: the floats are not there, or are those of another recipe.
        RecipeError: the run folder is none.
    """
    manifest, windows = made.manifest, check_windows(made)
    if not is_float or not interchange.is_int8(made.model):
        engine = engines.litert(made.folder / "model.tflite", made.model)
        logits = np.stack([engine.run(window[None]) for window in windows])
        return Network(made.model, manifest.labels, manifest.temperature, windows, logits)
    folder = run or made.folder
    if not (folder / "float.weights.h5").is_file():
        raise BundleError(
            f"{folder} has no float.weights.h5, and {manifest.name} has int8 weights only: name the run folder of its "
            "training with --run, or choose a target of int8"
        )
    from training import fit, learn, quantise  # noqa: PLC0415 - TensorFlow takes seconds

    recipe, data_sha256 = learn.read_config(folder / learn.CONFIG)
    if (recipe.sha256, data_sha256) != (manifest.recipe_sha256, manifest.data_sha256):
        raise BundleError(f"{folder} is the run folder of another training than that of {manifest.name}; name its own")
    model = fit.load(recipe, folder, manifest.labels)
    logits = model.predict(windows, verbose=0).astype(np.float64)
    return Network(quantise.to_float32(model), manifest.labels, manifest.temperature, windows, logits)


def check_windows(made: Bundle) -> NDArray[np.float32]:
    """Return a bundle's golden window and others of artificial voices in noise, shape (WINDOWS, frames, mels, 1)."""
    with np.load(made.golden_file) as golden:
        frames: list[Frames] = [golden["features"]]
    length, front_end, rng = made.manifest.window_samples, made.manifest.front_end, np.random.default_rng(1)
    voice = synthetic_clip(4 * length).astype(np.float64)
    while len(frames) < WINDOWS:
        frames.append(front_end.log_mel(_spoken(voice, length, rng)))
    return np.stack([normalise(window) for window in frames])[..., None].astype(np.float32)


def _spoken(voice: NDArray[np.float64], length: int, rng: np.random.Generator) -> Samples:
    """Return a piece of a voice at a random pitch and rate, of changing level, in noise of a random level."""
    speed = rng.uniform(0.6, 2.0)
    places = rng.uniform(0, len(voice) - speed * length) + speed * np.arange(length)
    levels = rng.uniform(0.2, 1.0, 8).repeat(-(-length // 8))[:length]
    noisy = np.interp(places, np.arange(len(voice)), voice) * levels + rng.normal(
        0, 10 ** rng.uniform(0.5, 3.5), length
    )
    spoken: Samples = np.clip(np.rint(noisy), -32_768, 32_767).astype(np.int16)
    return spoken
