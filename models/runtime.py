"""Runtime: from the log-mel frames of a window to its scores, the same for training, tests and device."""

import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle, BundleError, load
from models.engines import RUNTIMES
from models.frontend import SAMPLE_RATE_HZ, Frames, Samples, normalise

Scores = NDArray[np.float64]
"""One probability per label, in the manifest's order; they sum to 1."""

FEATURE_TOLERANCE_DB = 1e-3
"""Largest difference of a log-mel feature from the golden one."""
GOLDEN_TOLERANCE = 0.02
"""Largest difference of a score from the golden one. int8 kernels round differently from CPU to CPU."""
EXPORT_TOLERANCE = 0.1
"""The same for another runtime than LiteRT, whose kernels round each layer differently."""


class VerifiedModel(NamedTuple):
    """A bundle that passed its golden test on this machine, and the classifier made from it."""

    bundle: Bundle
    classifier: "Classifier"


def load_verified(folder: Path, runtime: str = "litert") -> VerifiedModel:
    """Load the bundle of a folder and run its golden test: what passes can be used on this machine.

    Args:
        folder: The bundle.
        runtime: A key of `RUNTIMES`.

    Raises:
        BundleError: the bundle is incomplete or malformed, or gives other scores on this machine; or the runtime is
            not installed, or has no file in this folder.
    """
    bundle = load(folder)
    classifier = Classifier(bundle, runtime)
    _verify(bundle, classifier, GOLDEN_TOLERANCE if runtime == "litert" else EXPORT_TOLERANCE)
    return VerifiedModel(bundle, classifier)


class Classifier:
    """Gives the calibrated probabilities of one window.

    Raises:
        BundleError: the runtime cannot run the bundle's file, or its input or output does not fit the manifest.
    """

    def __init__(self, bundle: Bundle, runtime: str = "litert") -> None:
        manifest = bundle.manifest
        self._temperature = manifest.temperature
        self._engine = engine = RUNTIMES[runtime](bundle)
        wanted = (1, manifest.window_frames, manifest.front_end.n_mels, 1)
        if engine.takes != wanted:
            raise BundleError(
                f"{engine.path} takes {engine.takes}, but its manifest describes {wanted}; "
                "export model and manifest together"
            )
        if engine.gives != (1, len(manifest.labels)):
            raise BundleError(
                f"{engine.path} gives {engine.gives}, but its manifest names {len(manifest.labels)} labels; "
                "export model and manifest together"
            )

    @property
    def path(self) -> Path:
        """The file that runs."""
        return self._engine.path

    def scores(self, frames: Frames) -> Scores:
        """Return the probabilities of one window of log-mel frames, shape (window_frames, n_mels), dB."""
        return softmax(self.logits(frames) / self._temperature)

    def logits(self, frames: Frames) -> NDArray[np.float64]:
        """Return the model's raw outputs for one window, shape (labels,)."""
        return self._engine.run(normalise(frames)[None, :, :, None])


_MOST_GOLDEN_BYTES = 16 * 1024 * 1024
"""The longest clip with its features has 3 MB."""


class _Golden(NamedTuple):
    clip: Samples
    features: Frames
    scores: Scores


def _read_golden(path: Path) -> _Golden:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _MOST_GOLDEN_BYTES:
            raise BundleError(f"{path} unpacks to {size:,} bytes, more than {_MOST_GOLDEN_BYTES:,}; export it again")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as golden:
            found = _Golden(golden["clip"], golden["features"], golden["scores"])
    except (OSError, ValueError, KeyError, EOFError, TypeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"{path} cannot be read: {error}; copy the bundle again") from error
    if found.clip.dtype != np.int16 or found.features.dtype.kind != "f" or found.scores.dtype.kind != "f":
        kinds = ", ".join(str(array.dtype) for array in found)
        raise BundleError(f"{path} has clip, features and scores of {kinds}; export it with int16 and two of floats")
    return found


def _verify(bundle: Bundle, classifier: Classifier, tolerance: float) -> None:
    """Run the bundle's golden clip through front end and model.

    Raises:
        BundleError: features or scores are not those that training recorded.
    """
    path, manifest = bundle.golden_file, bundle.manifest
    golden = _read_golden(path)
    shapes = (golden.clip.shape, golden.features.shape, golden.scores.shape)
    wanted = ((manifest.window_samples,), (manifest.window_frames, manifest.front_end.n_mels), (len(manifest.labels),))
    if shapes != wanted:
        raise BundleError(
            f"{path} has clip, features and scores of {shapes}, its manifest describes {wanted}; export it again"
        )
    frames = manifest.front_end.log_mel(golden.clip)
    difference_db = float(np.abs(frames - golden.features).max())
    if not difference_db <= FEATURE_TOLERANCE_DB:  # true also of what is not a number
        raise BundleError(
            f"{path}: this machine's features differ by {difference_db:g} dB from those that training recorded; "
            f"{FEATURE_TOLERANCE_DB} is allowed, so export the bundle with this version"
        )
    try:
        scores = classifier.scores(frames)
    except (ValueError, RuntimeError) as error:
        raise BundleError(f"{classifier.path} cannot be run: {error}; export it again") from error
    difference = float(np.abs(scores - golden.scores).max())
    if not difference <= tolerance:
        raise BundleError(
            f"{path}: this machine's scores differ by {difference:.3f} from those that training recorded; "
            f"{tolerance} is allowed, so train the model for this runtime"
        )


def softmax(logits: NDArray[np.float64]) -> Scores:
    """Return probabilities over the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Scores = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def synthetic_clip(samples: int) -> Samples:
    """Return a voice-like clip made by arithmetic alone: the same int16 samples on every machine.

    It is a gliding harmonic tone in syllables over faint noise, nobody's voice, and serves as golden input.
    """
    time_s = np.arange(samples) / SAMPLE_RATE_HZ
    pitch_hz = 140 + 40 * np.sin(2 * np.pi * 0.7 * time_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    syllables = np.maximum(0.0, np.sin(2 * np.pi * 2.3 * time_s))
    noise = np.random.default_rng(7).uniform(-1.0, 1.0, samples)
    clip: Samples = np.rint(6_000 * syllables * voice + 20 * noise).astype(np.int16)
    return clip
