"""Other runtimes than LiteRT: what stands in their way is told in a sentence, and nothing is reported to anybody."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exports import export, needs_export

from device.settings import _CHOICES
from models import bundle, engines
from models.bundle import BundleError
from models.runtime import Classifier, load_verified

FILES = {"onnx": "model.onnx", "openvino": "model.xml"}
PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}


@pytest.mark.parametrize("runtime", FILES)
def test_a_bundle_without_the_exported_file_is_refused(broken: Path, runtime: str) -> None:
    """Whoever asks for another runtime learns which file is missing, and what makes it."""
    words = rf"{FILES[runtime]} is not there.*moodwire bundle export --to {runtime}, or set runtime to litert"
    with pytest.raises(BundleError, match=words):
        load_verified(broken, runtime)


@pytest.mark.parametrize("runtime", FILES)
def test_a_missing_package_is_named(broken: Path, runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the runtime's package, one sentence names it."""
    (broken / FILES[runtime]).touch()
    monkeypatch.setitem(sys.modules, PACKAGES[runtime], None)

    words = f"runtime {runtime} needs the package {PACKAGES[runtime]}, which is not installed .*; run pip install"
    with pytest.raises(BundleError, match=words):
        Classifier(bundle.load(broken), runtime)


@needs_export
@pytest.mark.parametrize("runtime", FILES)
def test_a_file_that_is_no_model_is_refused(broken: Path, runtime: str) -> None:
    """Bytes that the runtime cannot read end in a sentence on one line."""
    (broken / FILES[runtime]).write_bytes(b"no model")

    with pytest.raises(BundleError, match=rf"{FILES[runtime]} is not a model .* can run: .*; export it again") as told:
        Classifier(bundle.load(broken), runtime)
    assert "\n" not in str(told.value)


@needs_export
@pytest.mark.slow
def test_openvino_reports_to_nobody(tmp_path: Path) -> None:
    """OpenVINO is loaded without its telemetry, which would write an id into the home folder and tell its maker."""
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path)}
    code = "import sys; from models.engines import openvino_core; openvino_core(); print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert "openvino_telemetry.main" not in done.stdout.split()
    assert list(tmp_path.iterdir()) == []


@needs_export
@pytest.mark.slow
@pytest.mark.parametrize("runtime", FILES)
def test_a_device_can_run_what_was_exported(tmp_path: Path, runtime: str) -> None:
    """The exported file gives the golden scores within 0.1, in one thread, and the bundle's own file still runs."""
    folder = export(tmp_path / "out", runtime)

    model = load_verified(folder, runtime)

    assert model.classifier.path == folder / FILES[runtime]
    with np.load(folder / "golden.npz") as golden:
        assert model.classifier.scores(golden["features"]) == pytest.approx(golden["scores"], abs=0.1)
    assert load_verified(folder).bundle.model == model.bundle.model


def test_the_settings_name_every_runtime() -> None:
    """What the device's setting allows is what the runtime knows."""
    assert _CHOICES["runtime"] == tuple(engines.RUNTIMES)
