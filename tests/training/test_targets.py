"""Exports: each says what the bundle says, within what is allowed, or is not written."""

import functools
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from bundles import copy_bundle
from exports import export, needs_compiler, needs_export, run_folder

import moodwire
from models import bundle, engines, packing
from training import c_program, converters, networks, targets
from training.networks import Network
from training.targets import TARGETS

pytestmark = [pytest.mark.slow, needs_export]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=needs_compiler if target.files == c_program.FILES else ())
        for name, target in TARGETS.items()
        if not target.is_float
    ],
)
def test_an_int8_export_says_what_the_bundle_says(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shipped model is exported from its file of four bits, and the folder is a bundle still."""
    folder = export(tmp_path / "out", name)

    told = capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {*packing.FILES, *TARGETS[name].files}
    assert told.count("decided windows get the same answer") == len(TARGETS[name].runs)
    assert bundle.load(folder).model == bundle.load(bundle.find(bundle.DEFAULT)).model


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run folder."""
    return run_folder(tmp_path_factory.mktemp("runs") / "run")


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.is_float])
def test_a_float_export_says_what_the_trained_network_says(
    name: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the weights of a run folder, every logit is within 1e-4 of Keras's."""
    folder = export(tmp_path / "out", name, bundle=str(trained))

    assert "decided windows get the same answer" in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {*packing.FILES, *TARGETS[name].files}


def test_a_shipped_bundle_has_no_floats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A float export of int8 weights would be none, so it is refused, and nothing is written."""
    assert moodwire.main(["bundle", "export", str(tmp_path / "out"), "--to", "onnx-float"]) == 2

    assert "has no float.weights.h5, and ang-hap-neu-9 has int8 weights only" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_folder_of_another_model_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An export does not mix two models in one folder."""
    folder = copy_bundle(tmp_path / "other")
    (folder / "model.tflite").write_bytes(b"another")

    assert moodwire.main(["bundle", "export", str(folder), "--to", "litert-int8"]) == 2
    assert "holds the bundle of another model; give another folder" in capsys.readouterr().err
    assert (folder / "model.tflite").read_bytes() == b"another"


def test_an_unknown_target_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence lists what there is."""
    assert moodwire.main(["bundle", "export", "--to", "coreml"]) == 2
    assert "to is 'coreml': choose one of litert-int8, litert-float, onnx" in capsys.readouterr().err


def test_a_missing_package_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra, one sentence names the package and the extra."""
    monkeypatch.setattr(converters.importlib.util, "find_spec", lambda _name: None)

    assert moodwire.main(["bundle", "export", str(tmp_path / "out"), "--to", "onnx"]) == 2
    assert "needs the package tf2onnx, which is not installed; run pip install" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "sentence"), [("litert-int8", "no difference is allowed"), ("openvino", "97%")])
def test_an_export_that_says_something_else_is_not_written(name: str, sentence: str, tmp_path: Path) -> None:
    """Logits that are not the network's own are noticed, and the sentence gives the difference and what is allowed."""
    made = bundle.load(bundle.find(bundle.DEFAULT))
    network = networks.network_of(made)
    wrong = network._replace(logits=np.roll(network.logits, 1, axis=1))

    with pytest.raises(bundle.BundleError, match=rf"is not written: in .* differ by up to .*{sentence}"):
        targets.make(TARGETS[name], wrong, tmp_path)


@pytest.mark.parametrize("name", ["onnx-float", "litert-int8", "openvino"])
def test_a_network_of_another_shape_is_exported(name: str, tmp_path: Path) -> None:
    """Any network with one input and one output can be: a one-dimensional CNN on 162 averages, with random weights."""
    agreement = targets.make(TARGETS[name], of_averages(is_float=TARGETS[name].is_float), tmp_path)

    assert len(agreement) == len(TARGETS[name].runs)


@needs_compiler
def test_the_example_in_c_runs_the_golden_window(tmp_path: Path) -> None:
    """A network of another shape compiles without a warning, and the program tells whether its logits are LiteRT's."""
    folder = tmp_path / "c"
    folder.mkdir()
    assert len(targets.make(TARGETS["c"], of_averages(is_float=False), folder)) == len(TARGETS["c"].runs)
    make = ["make", "-C", str(folder), "CFLAGS=-std=c11 -O1 -Wall -Wextra -Wno-unknown-pragmas -Werror"]

    subprocess.run(make, capture_output=True, text=True, check=True)
    good = subprocess.run([folder / "example"], capture_output=True, text=True, check=False)
    golden = (folder / "golden.h").read_text()
    (folder / "golden.h").write_text(re.sub(r"golden_logits\[\] = \{", "golden_logits[] = {99.0f, ", golden))
    subprocess.run(make, capture_output=True, text=True, check=True)
    bad = subprocess.run([folder / "example"], capture_output=True, text=True, check=False)

    assert (good.returncode, bad.returncode) == (0, 1)
    assert good.stdout.splitlines()[0].split()[::2] == ["ANG", "LiteRT"]
    assert f"{c_program.MOST_STEPS} are allowed" in good.stdout


@functools.cache
def of_averages(*, is_float: bool) -> Network:
    """Return an untrained one-dimensional CNN with seven labels, of fewer filters than the published one."""
    import tf_keras  # noqa: PLC0415 - it takes seconds
    from tf_keras import layers  # noqa: PLC0415

    from training import quantise  # noqa: PLC0415

    tf_keras.utils.set_random_seed(1)
    inputs = tensor = layers.Input((162, 1))
    for filters in (16, 8):
        tensor = layers.Conv1D(filters, 8, padding="same")(tensor)
        tensor = layers.MaxPooling1D(8)(layers.ReLU()(layers.BatchNormalization()(tensor)))
    model = tf_keras.Model(inputs, layers.Dense(7)(layers.Flatten()(tensor)))
    windows = np.random.default_rng(1).normal(size=(100, 162, 1)).astype(np.float32)
    content = quantise.to_float32(model) if is_float else quantise.to_int8(model, windows)
    engine = engines.litert(Path("averages.tflite"), content)
    logits = np.stack([engine.run(window[None]) for window in windows])
    return Network(content, ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD", "SUR"), 1.0, windows, logits)
