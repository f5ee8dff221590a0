"""Model bundle: the folder that training writes and the device reads.

- `model.tflite` takes one window of normalised log-mel frames and gives one logit per label.
- `manifest.json` describes its input and its output.
- `golden.npz` has a synthetic clip with its features and scores, by which any machine can test the model.
- `CARD.md` is the model card for people.

A bundle that loads does not stop a device later: the wire takes its name and labels, it expects the sample rate of the
device, and its windows leave no gap between them.
"""

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from common.decoding import JSON_ERRORS
from models.baseline import Reference
from models.frontend import FrontEnd

SHIPPED = Path(__file__).parent / "bundles"
DEFAULT = "ang-hap-neu"

LABEL = re.compile(r"[A-Z][A-Z0-9_]{0,15}")
"""The wire's rule for labels (broker/messages.py); a test checks that both agree."""


class BundleError(Exception):
    """A bundle is missing, incomplete or corrupt; the text names the file, what is wrong with it and what to do."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be known of a model to run it and to read its scores."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}\Z")]
    """Name with its version, as readings carry it: `ang-hap-neu-1`."""
    labels: Annotated[tuple[str, ...], Meta(min_length=2, max_length=16)]
    """In the order of the model's outputs, each once; 1 to 16 characters of A-Z, 0-9 and _, a letter first."""
    front_end: FrontEnd
    window_ms: Annotated[int, Meta(ge=500, le=10_000)]
    hop_ms: Annotated[int, Meta(ge=100, le=10_000)]
    temperature: Annotated[float, Meta(gt=0)]
    """Divides the logits before the softmax (Guo et al. 2017, On Calibration of Modern Neural Networks)."""
    uncertain_below: Annotated[float, Meta(ge=0, le=1)]
    """A window whose smoothed top probability is lower is `uncertain`."""
    model_sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    recipe_sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    data_sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    """Hash of the names and hashes of the recordings that trained it."""
    sparsity: Annotated[float, Meta(ge=0, lt=1)]
    """Share of weights that pruning set to zero."""
    measured: dict[str, Any]
    """Accuracy on speakers that the model never heard, with its protocol."""
    baseline: Reference | None = None
    """With what a device compares what it hears; None: it cannot learn what is usual where it stands."""

    def __post_init__(self) -> None:
        """Check what bounds of single fields cannot.

        Raises:
            ValueError: a device could not run the model, or the wire would refuse its readings.
        """
        for label in self.labels:
            if not LABEL.fullmatch(label):
                raise ValueError(f"label {label!r} is not allowed; use 1 to 16 of A-Z, 0-9 and _, a letter first")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels are {', '.join(self.labels)}; give each label once")
        if self.hop_ms > self.window_ms:
            raise ValueError(
                f"hop_ms is {self.hop_ms} and window_ms {self.window_ms}; "
                "set a hop no longer than the window, or sound between two windows is never heard"
            )
        if self.hop_samples % self.front_end.hop_length:
            raise ValueError(
                f"hop_ms is {self.hop_ms}, {self.hop_samples} samples; "
                f"set a multiple of the front end's hop_length, {self.front_end.hop_length} samples"
            )
        if self.baseline and len(self.baseline.mix) != len(self.labels):
            raise ValueError(f"baseline has {len(self.baseline.mix)} shares; give one for each of the labels")

    @property
    def window_samples(self) -> int:
        """Samples in one window."""
        return self.window_ms * self.front_end.sample_rate_hz // 1000

    @property
    def hop_samples(self) -> int:
        """Samples from window to window."""
        return self.hop_ms * self.front_end.sample_rate_hz // 1000

    @property
    def window_frames(self) -> int:
        """Log-mel frames in one window."""
        return self.front_end.frames_in(self.window_samples)


class Bundle(msgspec.Struct, frozen=True):
    """A bundle with a valid manifest, and the model that the manifest names."""

    folder: Path
    manifest: Manifest
    model: bytes
    """A TFLite flat buffer."""

    @property
    def golden_file(self) -> Path:
        """The synthetic clip with its features and scores."""
        return self.folder / "golden.npz"


def find(name: str) -> Path:
    """Return the folder of a shipped bundle by name, or of any bundle by path.

    Raises:
        BundleError: there is neither.
    """
    for folder in (SHIPPED / name, Path(name)):
        if folder.is_dir():
            return folder
    shipped = ", ".join(sorted(path.name for path in SHIPPED.iterdir() if path.is_dir()))
    raise BundleError(f"no bundle {name!r}: give a folder, or the name of a shipped one ({shipped or 'none'})")


def load(folder: Path) -> Bundle:
    """Read a bundle, and check its manifest and the hash of its model; `models.runtime.load_verified` also runs it.

    Raises:
        BundleError: a file is missing, the manifest is malformed, or it names another model.
    """
    manifest = _read_manifest(folder / "manifest.json")
    model = _read(folder / "model.tflite")
    found = hashlib.sha256(model).hexdigest()
    if found != manifest.model_sha256:
        raise BundleError(
            f"{folder / 'model.tflite'} has sha256 {found}, but its manifest names {manifest.model_sha256}; "
            "copy the bundle again, all four files"
        )
    return Bundle(folder, manifest, model)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json`, indented and ending in a new line."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / "manifest.json").write_bytes(text + b"\n")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}; copy the bundle again, all four files") from error


def _read_manifest(path: Path) -> Manifest:
    try:
        return msgspec.json.decode(_read(path), type=Manifest)
    except JSON_ERRORS as error:
        raise BundleError(f"{path} is not a valid manifest: {error}") from error
