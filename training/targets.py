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
from models.runtime import load_verified, softmax
from training import c_program, converters, interchange, micro, networks, peer_network
from training.networks import Logits, Network
from training.recipe import RecipeError
from training.results import ResultsError

FLOAT_TOLERANCE = 1e-4
"""Largest difference of a logit of a float export from the float network's."""
FLOAT_SHARE = 1e-5
"""The same as a share of the network's largest logit, where that is more: floats round in proportion."""
INT8_TOLERANCE = 0.1
"""Largest difference of a probability of an int8 export from LiteRT's; a device allows the same of the golden one."""
LEAST_SAME = 0.97
"""Share of the windows to which an int8 export must give LiteRT's answer."""
LEAST_MARGIN = 0.5
"""How far a network's two best logits must be apart for its answer to count in this comparison.

Artificial voices are nothing that it has learned, so it hesitates: kernels that round differently move a logit by up to
0.47 (`python -m trials.exports`), and an answer that hangs by less says nothing about the export.
"""

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
        help="run folder whose network a float export starts from, else the bundle's own folder, if it is one; or run "
        "folder of a published system, which has no bundle",
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
        network, made = _asked(settings, is_float=target.is_float)
        settings.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=settings.folder) as temporary:
            stage = Path(temporary)
            found = make(target, network, stage)
            if made:
                for name in packing.FILES:
                    shutil.copyfile(made.folder / name, stage / name)
                if target.runtime:
                    load_verified(stage, target.runtime)
            for name in (*(packing.FILES if made else ()), *target.files):
                (stage / name).replace(settings.folder / name)
    except (BundleError, RecipeError, ResultsError, OSError) as error:
        print(f"moodwire bundle export: {error}", file=sys.stderr)
        return 2
    for name in target.files:
        print(f"{settings.folder / name}: {(settings.folder / name).stat().st_size:,} bytes")
    for name, agreement in found.items():
        print(f"{name}: {_sentence(agreement)}")
    for name in target.runs.keys() - found.keys():
        print(f"{name}: not run, because its package is not installed or not made for this platform")
    return 0


def _asked(settings: ExportSettings, *, is_float: bool) -> tuple[Network, Bundle | None]:
    """Return the network to export, and its bundle; a published system's run folder has none, as no device runs it."""
    if settings.run and peer_network.is_one(settings.run):
        if (settings.folder / "model.tflite").is_file():
            raise BundleError(f"{settings.folder} holds a bundle; give another folder")
        return peer_network.network_of(settings.run, is_float=is_float), None
    made = load_verified(models.bundle.find(settings.bundle)).bundle
    _check_out(settings.folder, made)
    return networks.network_of(made, settings.run, is_float=is_float), made


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
        most = max(FLOAT_TOLERANCE, FLOAT_SHARE * float(np.abs(network.logits).max()))
        if not _is_allowed(target, agreement, most):
            raise BundleError(
                f"{target.title} is not written: in {name} its {_sentence(agreement)}; {_allowed(target, most)}"
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


def _is_allowed(target: Target, found: Agreement, most: float) -> bool:
    if target.exact:
        return found.logit == 0
    if target.is_float:
        return found.logit <= most
    return found.probability <= INT8_TOLERANCE and found.same >= LEAST_SAME


def _allowed(target: Target, most: float) -> str:
    if target.exact:
        return "no difference is allowed"
    if target.is_float:
        return f"{most:.2g} of a logit is allowed"
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
