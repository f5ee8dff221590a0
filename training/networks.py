"""Networks that are exported: of a bundle, or of its training, each with what it says to some windows."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import engines
from models.bundle import Bundle, BundleError
from models.frontend import Frames, Samples, normalise
from models.runtime import synthetic_clip
from training import interchange

WINDOWS = 100
"""Windows over which an export is compared."""
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
        frames.append(front_end.log_mel(spoken(voice, length, rng)))
    return np.stack([normalise(window) for window in frames])[..., None].astype(np.float32)


def spoken(voice: NDArray[np.float64], length: int, rng: np.random.Generator) -> Samples:
    """Return a piece of a voice at a random pitch and rate, of changing level, in noise of a random level."""
    speed = rng.uniform(0.6, 2.0)
    places = rng.uniform(0, len(voice) - speed * length) + speed * np.arange(length)
    levels = rng.uniform(0.2, 1.0, 8).repeat(-(-length // 8))[:length]
    noisy = np.interp(places, np.arange(len(voice)), voice) * levels + rng.normal(
        0, 10 ** rng.uniform(0.5, 3.5), length
    )
    spoken: Samples = np.clip(np.rint(noisy), -32_768, 32_767).astype(np.int16)
    return spoken
