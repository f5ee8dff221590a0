"""`moodwire train` from clips to a bundle that the device's runtime verifies."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from miniature import CrossValidated

from models import bundle, tflite
from models.runtime import Classifier, load_verified, synthetic_clip
from training import commands, corpora, fit, learn, recipe, score
from training import evaluate as evaluation
from training.backgrounds import BACKGROUNDS
from training.commands import evaluate, train
from training.report import report
from training.settings import EvaluateSettings, ReportSettings, TrainSettings
from training.splits import Fold

pytestmark = pytest.mark.slow


def test_training_ends_in_a_verified_bundle(
    cross_validated: CrossValidated, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """All folds are trained, pruned, quantised and scored, and the bundle passes its own golden test.

    Scored once more, the bundle gets the same card. A second call finds the folds, trains nothing, and writes the same
    bundle.
    """
    settings = cross_validated.settings
    made = load_verified(tmp_path / "tiny").bundle
    measured = made.manifest.measured
    assert made.manifest.labels == ("ANG", "HAP", "NEU")
    assert 0.15 < made.manifest.sparsity < 0.5
    assert measured["speakers"] == {"train": [1001, 1002, 1019, 1020, 1037, 1038], "test": [1055, 1056]}
    assert [fold["speakers"] for fold in measured["cross_validation"]["folds"]] == [
        "1001-1018",
        "1019-1036",
        "1037-1054",
        "1055-1072",
    ]
    assert np.sum(measured["confusion"]) == 6 * len(BACKGROUNDS)
    assert np.mean(list(measured["uar_by_background"].values())) == pytest.approx(measured["uar"])
    assert f"**{measured['uar']:.1%}**" in (tmp_path / "tiny" / "CARD.md").read_text()

    assert "| UAR by age of the speaker | 20-29 " in (tmp_path / "tiny" / "CARD.md").read_text()

    folder = next((tmp_path / "runs").glob("tiny-0-*/block-1-seed-1"))
    assert sorted(path.name for path in folder.iterdir()) == [
        "CARD.md",
        "answers.npz",
        "config.json",
        "curves.jsonl",
        "float.weights.h5",
        "golden.npz",
        "manifest.json",
        "model.tflite",
    ]
    assert [msgspec.json.decode(line)["epoch"] for line in (folder / "curves.jsonl").read_text().splitlines()] == [1, 2]

    capfd.readouterr()
    assert evaluate(EvaluateSettings(str(tmp_path / "tiny"), settings.recordings_dir)) == 0
    assert capfd.readouterr().out == (tmp_path / "tiny" / "CARD.md").read_text()

    page = tmp_path / "RESULTS.md"
    kept = tmp_path / "results"
    assert report(ReportSettings(tmp_path / "runs", kept, page)) == 0
    row = next(line for line in page.read_text().splitlines() if line.startswith("| tiny-0 |")).split(" | ")
    assert row[1:4] == ["1 2 3 4", "1", "6"]
    assert row[4].startswith(f"{measured['cross_validation']['uar']:.1%} ± ")
    text = page.read_text()
    assert report(ReportSettings(tmp_path / "no-runs", kept, page)) == 0
    assert page.read_text() == text

    assert train(settings) == 0
    assert "epoch" not in capfd.readouterr().out
    assert bundle.load(tmp_path / "tiny").manifest == made.manifest


def test_model_is_integer_only(cross_validated: CrossValidated) -> None:
    """The exported file takes int8 and gives int8, with a batch of 1."""
    interpreter = Interpreter(model_content=tflite.unpacked(bundle.load(cross_validated.alone).model))
    (into,), (out_of,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert into["dtype"] is out_of["dtype"] is np.int8
    assert tuple(into["shape"]) == (1, 147, 64, 1)


def test_a_leaky_split_measures_and_ships_nothing(
    settings: TrainSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its run is kept apart and says what it is; it makes no bundle, and is not evaluated as if it knew strangers.

    Answers that are missing are given again by the trained model, without training.
    """
    leaky = TrainSettings("tiny", settings.recordings_dir, tmp_path / "runs", split="leaky")

    assert train(leaky) == 0

    folder = next((tmp_path / "runs").glob("tiny-0-*/leaky-4-seed-1"))
    measured = bundle.load(folder).manifest.measured
    assert set(measured["speakers"]["train"]) & set(measured["speakers"]["test"])
    assert measured["protocol"].startswith("LEAKY")
    assert not list((tmp_path / "runs").glob("*/bundle"))
    assert evaluate(EvaluateSettings(str(folder), settings.recordings_dir)) == 2
    assert "there is no speaker that it never heard" in capsys.readouterr().err

    (folder / "answers.npz").unlink()
    assert train(leaky) == 0
    assert "epoch" not in capsys.readouterr().out
    assert len(score.load(folder).truth) == measured["clips"]["test"] * len(BACKGROUNDS)


def test_what_people_heard_is_learned_beside(
    cross_validated: CrossValidated, write_recipe: Callable[..., str], tmp_path: Path
) -> None:
    """A network that also learns votes gives what it was asked for, and is another one than without them.

    Clips that nobody was asked about train it all the same. With other votes it is not the same training.
    """
    plan = recipe.load("tiny")
    without = write_recipe("without", votes=0.0)
    settings, alone = cross_validated
    assert train(TrainSettings(without, settings.recordings_dir, settings.runs_dir, tmp_path / "without")) == 0
    made = [bundle.load(alone), bundle.load(tmp_path / "without")]

    window = made[0].manifest.front_end.log_mel(synthetic_clip(48_000))
    voted, told = (evaluation.logits(Classifier(one), [window]) for one in made)
    assert voted.shape == told.shape == (1, 3)
    assert not np.allclose(voted, told)
    assert (plan.outputs, recipe.load(without).outputs) == (9, 3)

    all_clips, fold = corpora.read_clips(settings.recordings_dir, plan.clip_labels), Fold(4, 1)
    folder = settings.runs_dir / plan.folder / fold.folder
    assert commands._finished(folder, plan, all_clips, fold) == bundle.load(folder).manifest
    all_clips[0] = msgspec.structs.replace(all_clips[0], votes={"SAD": 9})
    assert commands._finished(folder, plan, all_clips, fold) is None

    clips = [
        msgspec.structs.replace(clip, votes={"ANG": 1, "SAD": 3} if clip.label == "SAD" else {})
        for clip in corpora.read_clips(settings.recordings_dir, ("HAP", "SAD"))
    ]
    truth = learn._targets(clips[:2], plan)
    np.testing.assert_array_equal(truth, [[0, 1, 0, *[0] * 6], [0, 0, 0, 0.25, 0, 0, 0, 0, 0.75]])
    loss = fit._loss(plan)
    outputs = tf.zeros((2, 9))
    by_label = float(fit._label_loss(plan)(truth[:, :3], None, outputs[:, :3]))
    assert float(loss(truth, None, outputs)) == pytest.approx(by_label + 0.5 * np.log(6) / 2)


def test_bad_input_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing corpus and a missing recipe each give one sentence and exit code 2."""
    assert train(TrainSettings(recordings_dir=tmp_path)) == 2
    assert train(TrainSettings(recipe="nope")) == 2

    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert errors[0].startswith("moodwire train: ")
    assert "recordings_dir must name the folder that holds crema-d/" in errors[0]
    assert "no recipe 'nope'" in errors[1]


def test_a_bundle_that_does_not_tell_whom_it_heard_is_not_scored(
    recordings_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bundle of another origin, whose manifest names no speakers, is one sentence."""
    shutil.copytree(bundle.find(bundle.DEFAULT), tmp_path / "own")
    manifest = bundle.load(tmp_path / "own").manifest
    bundle.write_manifest(tmp_path / "own", msgspec.structs.replace(manifest, measured={}))

    assert evaluate(EvaluateSettings(str(tmp_path / "own"), recordings_dir)) == 2
    assert "does not name the speakers it was trained on" in capsys.readouterr().err


def test_what_cannot_be_scored_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing bundle, a missing corpus and runs that are not there each give one sentence and exit code 2."""
    assert evaluate(EvaluateSettings(bundle="nope")) == 2
    assert evaluate(EvaluateSettings(recordings_dir=tmp_path)) == 2
    assert evaluate(EvaluateSettings(recordings_dir=tmp_path, corpus="crema-d")) == 2
    assert report(ReportSettings(tmp_path, tmp_path / "results", tmp_path / "RESULTS.md")) == 2

    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 4
    assert "no bundle 'nope'" in errors[0]
    assert "holds no recordings to measure on: fetch some with `moodwire data fetch emodb`" in errors[1]
    assert "recordings_dir must name" in errors[2]
    assert "nor " in errors[3]
