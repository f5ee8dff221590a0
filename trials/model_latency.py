"""Front end and model for one isolated window of 3 s: `python -m trials.model_latency [RECIPE…]`.

Ours is the shipped bundle: `models/frontend.py` and its int8 file in `models/runtime.py`. The peer is the published
network of 5 x 256 filters with a width multiplier of 0.5, rebuilt in float32 (`training/peers.py`), with the usual
front end: `librosa.feature.melspectrogram` and `power_to_db`, 40 bands, without normalisation. Both models run in
LiteRT, on one thread of one process, and take turns window by window, in random order, so that whatever else the
machine does, and what the one before leaves in its caches, slows both alike. Weights do not matter for the time: the
peer is untrained, and so is any recipe named on the command line, which is measured with our front end at its settings.
A published system that hears something else is measured with its own features in librosa, from the 16 kHz of a
microphone: an untrained network in LiteRT, or a model of scikit-learn, fitted to noise of as many rows as RAVDESS gives
it, since nearest neighbours and support vectors cost by the row.
Each recipe takes turns with the peer alone, for a stretch of windows, then the next recipe does: in a round of all,
recipes with the same front end would find it in the caches, and the peer would not.

`--rounds` sets the number of windows; `--write` adds the figures to `training/results/latency.json`, from which
`moodwire report` takes them.
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}

import argparse
import hashlib
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

import models.bundle
from common import files
from models.bundle import Bundle, Manifest
from models.frontend import Samples
from models.runtime import Classifier, synthetic_clip
from training import classical, fit, quantise, recipe, results
from training import measure as measuring
from training.architectures import Classical
from training.recipe import PeerRecipe, Recipe
from training.results import LATENCY, Latency
from trials.librosa_front_end import log_mel
from trials.usage import processor

PEER = "published-256x5"
STRETCH = 50
"""Windows of one recipe before the next has its turn; not all, as a machine's speed changes within seconds."""
WARM_UP = 10
"""Windows before each stretch that are not counted."""
REPRESENTATIVE_WINDOWS = 20
"""Windows from which the quantiser of an untrained network takes the range of activations."""

ROWS = 960
"""Clips of RAVDESS that train while four of the twenty actors are held out."""

Classify = Callable[[Samples], object]
"""Takes one window of int16 samples."""
Pair = tuple[float, float]
"""Milliseconds that ours and the peer took for a window."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m trials.model_latency")
    parser.add_argument("recipes", nargs="*")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    shipped = models.bundle.load(models.bundle.find(models.bundle.DEFAULT))
    sides = {shipped.manifest.name: ours(shipped)}
    for plan in map(recipe.load, asked.recipes):
        sides[plan.name] = ours(untrained(plan)) if plan.on_device else published(plan)
    taken = measure(sides, with_librosa(recipe.load(PEER)), asked.rounds, shipped.manifest.window_samples)
    found = {name: _latency(pairs) for name, pairs in taken.items()}
    _print(found, statistics.median(peer for pairs in taken.values() for _, peer in pairs), asked.rounds)
    if asked.write:
        kept = {**results.read_latencies(LATENCY.parent), **found}
        files.replace(LATENCY, msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n")


def ours(made: Bundle) -> Classify:
    """Return a bundle with our front end and runtime."""
    classifier = Classifier(made)
    front_end = made.manifest.front_end
    return lambda samples: classifier.scores(front_end.log_mel(samples))


def with_librosa(plan: Recipe) -> Classify:
    """Return a peer's untrained network with librosa."""
    run, front_end = _litert(untrained(plan).model), plan.front_end
    return lambda samples: run(log_mel(samples, front_end).T[..., None])


def published(plan: Recipe) -> Classify:
    """Return a published system with the features that it hears."""
    assert isinstance(plan, PeerRecipe)  # only these hear what no device computes
    assert plan.features is not None
    heard, rng = plan.features, np.random.default_rng(1)
    if isinstance(plan.network, Classical):
        noise = rng.random((ROWS * (1 + len(plan.renderings)), *heard.shape), np.float32)
        model = classical.fit(plan.network, noise, rng.integers(0, len(plan.labels), len(noise)), seed=1)
        return lambda samples: classical.probabilities(model, heard.of(heard.load(samples))[None], len(plan.labels))
    network, _ = measuring.untrained(plan, rng.random((REPRESENTATIVE_WINDOWS, *heard.shape), np.float32))
    run = _litert(quantise.to_float32(network))
    return lambda samples: run(heard.of(heard.load(samples)))


def _litert(content: bytes) -> Callable[[NDArray[np.float32]], object]:
    """Return what gives one input to a network on one thread."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    into, out_of = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(values: NDArray[np.float32]) -> object:
        interpreter.set_tensor(into, values[None].astype(np.float32))
        interpreter.invoke()
        return interpreter.get_tensor(out_of)

    return run


def untrained(plan: Recipe) -> Bundle:
    """Return a recipe's model as it is before training."""
    shape = (plan.window_frames, plan.front_end.n_mels, 1)
    model = fit.untrained(plan, len(plan.labels))
    windows = np.random.default_rng(1).random((REPRESENTATIVE_WINDOWS, *shape), np.float32)
    content = quantise.to_int8(model, windows, plan.levels) if plan.integer else quantise.to_float32(model)
    manifest = Manifest(
        name=plan.name,
        labels=plan.labels,
        front_end=plan.front_end,
        window_ms=plan.window_ms,
        hop_ms=plan.hop_ms,
        temperature=1.0,
        uncertain_below=0.0,
        model_sha256=hashlib.sha256(content).hexdigest(),
        recipe_sha256=plan.sha256,
        data_sha256=hashlib.sha256().hexdigest(),
        sparsity=0.0,
        measured={},
    )
    return Bundle(Path(plan.name), manifest, content)


def measure(sides: dict[str, Classify], peer: Classify, rounds: int, window_samples: int) -> dict[str, list[Pair]]:
    """Return the times of each side and of the peer for each window."""
    sound = synthetic_clip(10 * window_samples)
    taken: dict[str, list[Pair]] = {name: [] for name in sides}
    order = random.Random(0)
    for first in range(0, rounds, STRETCH):
        for name, side in sides.items():
            for number in range(first - WARM_UP, min(first + STRETCH, rounds)):
                begin = number * 4_001 % (len(sound) - window_samples)
                window = sound[begin : begin + window_samples]
                ms = {classify: _ms(classify, window) for classify in order.sample((side, peer), 2)}
                if number >= first:
                    taken[name].append((ms[side], ms[peer]))
    return taken


def _ms(classify: Classify, window: Samples) -> float:
    start_s = time.perf_counter()
    classify(window)
    return (time.perf_counter() - start_s) * 1000


def _latency(pairs: Sequence[Pair]) -> Latency:
    ratio = statistics.median(ours / peer for ours, peer in pairs)
    return Latency(ms=round(statistics.median(ours for ours, _ in pairs), 3), of_published=round(ratio, 3))


def _print(found: dict[str, Latency], peer_ms: float, rounds: int) -> None:
    width = max(map(len, found)) + 2
    print(f"{f'{PEER}, float32, librosa':<{width}} {peer_ms:6.2f} ms a window; {rounds} windows beside each of these")
    for name, latency in found.items():
        print(f"{name:<{width}} {latency.ms:6.2f} ms a window; ratio {latency.of_published:.3f}")
    used = ", ".join(f"{name} {version(name)}" for name in ("numpy", "ai-edge-litert", "librosa"))
    print(f"medians, ratios by pairs; {used}, Python {platform.python_version()}")
    print(f"{processor()}, {os.cpu_count()} cores, one thread each; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
