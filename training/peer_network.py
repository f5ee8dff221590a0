"""The network of a published system, from the run folder of its training, to be exported: no bundle holds it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models import engines
from models.bundle import BundleError
from models.frontend import SAMPLE_RATE_HZ, Samples
from models.runtime import synthetic_clip
from training import recipe as recipes
from training import results
from training.networks import WINDOWS, Network, spoken
from training.recipe import PeerRecipe
from training.results import MEASURED

FLOAT, INT8 = "model.tflite", "model-int8.tflite"
SECONDS = 3


def is_one(folder: Path) -> bool:
    """Return whether a folder is the run folder of a system that makes no bundle."""
    return (folder / MEASURED).is_file()


def network_of(folder: Path, *, is_float: bool) -> Network:
    """Return the network of a run folder, with what LiteRT says to features of artificial voices.

    Raises:
        BundleError: the training left no such network.
        ResultsError: its recipe or its figures cannot be read.
    """
    told = results.read_measured(folder)
    recipe = recipes.convert(results.read_recipe(folder / "config.json"))
    assert isinstance(recipe, PeerRecipe)  # only these are measured alone
    assert recipe.features is not None
    path = folder / (FLOAT if is_float else INT8)
    if not (folder / FLOAT).is_file():
        raise BundleError(f"{folder} holds no network: {told.name} is a {told.measured['architecture']}")
    if not path.is_file():
        raise BundleError(
            f"{folder} has no {INT8}, which only one-dimensional CNNs get: choose litert-float, onnx-float or "
            "openvino-float"
        )
    content = path.read_bytes()
    engine = engines.litert(path, content)
    heard = recipe.features
    windows: NDArray[np.float32] = np.stack([heard.of(heard.load(voice)) for voice in _voices()]).astype(np.float32)
    logits = np.stack([engine.run(window[None]) for window in windows])
    return Network(content, told.labels, 1.0, windows, logits)


def _voices() -> list[Samples]:
    length, rng = SECONDS * SAMPLE_RATE_HZ, np.random.default_rng(1)
    voice = synthetic_clip(4 * length).astype(np.float64)
    return [synthetic_clip(length), *(spoken(voice, length, rng) for _ in range(WINDOWS - 1))]
