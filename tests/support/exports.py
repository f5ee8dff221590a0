"""Bundles exported for other runtimes, and a bundle in a run folder whose network of floats is there too."""

import hashlib
import importlib.util
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

import models.bundle
import moodwire
from models.bundle import Bundle

PACKAGES = ("onnx", "onnxruntime", "openvino", "tf2onnx", "emx_onnx_cgen")
needs_export = pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in PACKAGES),
    reason="the extra `export` is not installed (pip install -r locks/export.txt)",
)
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (Debian: apt install gcc)")


def export(folder: Path, *targets: str, bundle: str = models.bundle.DEFAULT) -> Path:
    """Export a bundle to some targets, all into one folder, and return that."""
    for target in targets:
        assert moodwire.main(["bundle", "export", str(folder), "--bundle", bundle, "--to", target]) == 0
    return folder


def run_folder(folder: Path) -> Path:
    """Return a run folder with bundle and weights, as a training of the recipe `tiny` leaves it; nobody trained it."""
    import tf_keras  # noqa: PLC0415 - it takes seconds

    from training import export, fit, learn, quantise, recipe  # noqa: PLC0415

    plan = recipe.load("tiny")
    tf_keras.utils.set_random_seed(1)
    folder.mkdir()
    fit.untrained(plan, plan.outputs).save_weights(folder / fit.WEIGHTS)
    (folder / learn.CONFIG).write_bytes(msgspec.json.encode({"data_sha256": "0" * 64, "recipe": plan}))
    windows = np.random.default_rng(1).random((20, plan.window_frames, plan.front_end.n_mels, 1), np.float32)
    content = quantise.to_int8(fit.load(plan, folder, plan.labels), windows)
    manifest = msgspec.structs.replace(
        models.bundle.load(models.bundle.find(models.bundle.DEFAULT)).manifest,
        name=plan.name,
        labels=plan.labels,
        front_end=plan.front_end,
        window_ms=plan.window_ms,
        hop_ms=plan.hop_ms,
        model_sha256=hashlib.sha256(content).hexdigest(),
        recipe_sha256=plan.sha256,
        data_sha256="0" * 64,
        baseline=None,
    )
    export.write(Bundle(folder, manifest, content))
    return folder
