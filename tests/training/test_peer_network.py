"""The networks of published systems are exported from their run folders, for no bundle holds them."""

from pathlib import Path

import pytest
from exports import needs_export

import moodwire
from training.commands import train
from training.settings import TrainSettings

pytestmark = [pytest.mark.slow, needs_export]
HEAD = 'name = "peer"\nlabels = ["ANG", "HAP", "NEU"]\n'
NETWORK = 'epochs = 1\n[network]\narchitecture = "conv-1d"\ngroups = [[4, 4], [4]]\n[features]\nkind = "averages"\n'
TREE = '[network]\narchitecture = "scikit-learn"\nmodel = "tree"\n[features]\nkind = "averages"\n'


def trained(tables: str, settings: TrainSettings, tmp_path: Path) -> str:
    """Return the run folder of a recipe that was measured on the miniature corpus."""
    (tmp_path / "peer.toml").write_text(HEAD + tables)
    assert train(TrainSettings(str(tmp_path / "peer.toml"), settings.recordings_dir, tmp_path / "runs")) == 0
    (folder,) = (tmp_path / "runs").glob("peer-*/*-seed-1")
    return str(folder)


def test_a_trained_network_is_exported(
    settings: TrainSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its floats go to ONNX and its int8 to C, each after a comparison with LiteRT; no bundle lies beside them."""
    run, out = trained(NETWORK, settings, tmp_path), tmp_path / "out"

    assert moodwire.main(["bundle", "export", str(out), "--to", "onnx-float", "--run", run]) == 0
    assert "ONNX Runtime: logits differ by up to" in capsys.readouterr().out
    assert [path.name for path in out.iterdir()] == ["model.onnx"]

    assert moodwire.main(["bundle", "export", str(out), "--to", "c", "--run", run]) == 0
    assert "the compiled example: logits differ by up to" in capsys.readouterr().out
    assert (out / "model_data.c").is_file()
    (Path(run) / "model-int8.tflite").unlink()
    assert moodwire.main(["bundle", "export", str(out), "--to", "c", "--run", run]) == 2
    assert "has no model-int8.tflite, which only one-dimensional CNNs get" in capsys.readouterr().err


def test_what_is_no_network_is_not_exported(
    settings: TrainSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model of scikit-learn is one sentence."""
    run = trained(TREE, settings, tmp_path)

    assert moodwire.main(["bundle", "export", str(tmp_path / "out"), "--to", "onnx-float", "--run", run]) == 2
    assert "holds no network: peer is a decision tree" in capsys.readouterr().err
