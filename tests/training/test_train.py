"""`moodwire train` from clips to a bundle that the device's runtime verifies."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import tensorflow as tf

from models import bundle
from models.runtime import Classifier, load_verified, synthetic_clip
from training import commands, corpora, fit, learn, recipe, score
from training import evaluate as evaluation
from training.backgrounds import BACKGROUNDS
from training.batches import Batches
from training.commands import evaluate, train
from training.release import cross_validation
from training.report import report
from training.settings import EvaluateSettings, ReportSettings, TrainSettings
from training.splits import Fold


@pytest.fixture
def settings(recordings_dir: Path, tmp_path: Path) -> TrainSettings:
    """Return settings that train the tiny recipe on the miniature corpus."""
    return TrainSettings(
        recipe="tiny",
        recordings_dir=recordings_dir,
        runs_dir=tmp_path / "runs",
        bundle_dir=tmp_path / "tiny",
        cross_validate=True,
    )


def test_training_ends_in_a_verified_bundle(
    settings: TrainSettings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """All folds are trained, pruned, quantised and scored, and the bundle passes its own golden test.

    Scored once more, the bundle gets the same card. A second call finds the folds, trains nothing, and writes the same
    bundle.
    """
    assert train(settings) == 0

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


def test_a_release_is_taught_by_everyone(
    settings: TrainSettings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The model that is shipped hears all speakers, and its figures are those of the folds' models, which did not.

    A second call trains nothing.
    """
    release = TrainSettings("tiny", settings.recordings_dir, settings.runs_dir, tmp_path / "tiny", release=True)

    assert train(release) == 0

    made = load_verified(tmp_path / "tiny").bundle
    measured = made.manifest.measured
    runs = next(settings.runs_dir.glob("tiny-0-*"))
    folds = [bundle.load(folder).manifest for folder in sorted(runs.glob("block-*"))]
    assert measured["speakers"]["train"] == [1001, 1002, 1019, 1020, 1037, 1038, 1055, 1056]
    assert measured["clips"] == {"train": 24, "test": 0}
    assert len(measured["uar_by_speaker"]) == 8
    assert measured["uar"] == pytest.approx(np.mean([fold.measured["uar"] for fold in folds]))
    assert made.manifest.temperature == pytest.approx(np.mean([fold.temperature for fold in folds]), abs=1e-4)
    assert "Results of the recipe on speakers that its models never heard" in (made.folder / "CARD.md").read_text()

    capfd.readouterr()
    assert evaluate(EvaluateSettings(str(made.folder), settings.recordings_dir)) == 2
    assert "there is none that it never heard" in capfd.readouterr().err

    assert train(release) == 0
    assert "epoch" not in capfd.readouterr().out
    assert bundle.load(tmp_path / "tiny").manifest == made.manifest


def test_a_model_is_calibrated_by_speakers_that_do_not_score_it(settings: TrainSettings, tmp_path: Path) -> None:
    """Temperature and threshold of a fold are those that fit what the other folds' models say to their own speakers.

    A fold alone has neither: its probabilities are the model's own, and nothing is uncertain.
    """
    alone = TrainSettings("tiny", settings.recordings_dir, settings.runs_dir, tmp_path / "alone")
    assert train(alone) == 0
    raw = bundle.load(tmp_path / "alone").manifest
    assert (raw.temperature, raw.uncertain_below, raw.measured["sure"]["share"]) == (1.0, 0.0, 1.0)
    assert "It is not calibrated" in (tmp_path / "alone" / "CARD.md").read_text()

    assert train(settings) == 0

    made = bundle.load(tmp_path / "tiny").manifest
    runs = next(settings.runs_dir.glob("tiny-0-*"))
    kept = {block: score.load(runs / f"block-{block}-seed-1") for block in (1, 2, 3, 4)}
    others = score.pool([kept[block] for block in (1, 2, 3)])
    assert made.temperature == round(evaluation.fit_temperature(np.log(others.scores), others.truth), 4)
    confidence = score.calibrated(others, made.temperature).scores.max(axis=1)
    assert made.uncertain_below == round(float(np.quantile(confidence, 0.2)), 4)
    found = score.calibrated(kept[4], made.temperature)
    assert made.measured["ece"] == evaluation.calibration_error(found.scores, found.truth)
    assert made.measured["uar"] == raw.measured["uar"]
    assert "are `uncertain`" in (runs / "block-4-seed-1" / "CARD.md").read_text()


def test_a_stopped_training_goes_on(settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that is killed in its second epoch does that epoch again and no other."""
    plan = TrainSettings(
        recipe="tiny", recordings_dir=settings.recordings_dir, runs_dir=tmp_path / "runs", bundle_dir=tmp_path / "b"
    )
    asked: list[int] = []
    epoch = Batches.epoch

    def killed_once(self: Batches, number: int) -> Iterator[Any]:
        asked.append(number)
        if asked == [0, 1]:
            raise KeyboardInterrupt
        return epoch(self, number)

    monkeypatch.setattr(Batches, "epoch", killed_once)

    with pytest.raises(KeyboardInterrupt):
        train(plan)
    assert train(plan) == 0

    curves = next((tmp_path / "runs").glob("*/block-4-seed-1")) / "curves.jsonl"
    assert asked == [0, 1, 1]
    assert [msgspec.json.decode(line)["epoch"] for line in curves.read_text().splitlines()] == [1, 2]


def test_a_cross_validation_is_the_mean_over_seeds_then_blocks() -> None:
    """Two seeds of a block count as one; the deviation is that of the four blocks."""
    manifest = bundle.load(bundle.find(bundle.DEFAULT)).manifest
    uars = {1: (0.6, 0.8), 2: (0.7, 0.9), 3: (0.8, 0.8), 4: (0.9, 0.9)}
    done = {
        Fold(block, seed): msgspec.structs.replace(
            manifest, measured={"uar": uar, "float_uar": uar + 0.01, "accuracy": uar - 0.01}
        )
        for block, pair in uars.items()
        for seed, uar in enumerate(pair)
    }

    found = cross_validation(done)

    assert found["uar"] == pytest.approx(0.8)
    assert found["uar_deviation"] == pytest.approx(np.std([0.7, 0.8, 0.8, 0.9], ddof=1))
    assert (found["float_uar"], found["accuracy"]) == (pytest.approx(0.81), pytest.approx(0.79))
    assert found["folds"][1]["uar_of_seeds"] == [0.7, 0.9]
    assert [fold["speakers"] for fold in found["folds"]] == ["1001-1018", "1019-1036", "1037-1054", "1055-1072"]


def test_model_is_integer_only(settings: TrainSettings, tmp_path: Path) -> None:
    """The exported file takes int8 and gives int8, with a batch of 1."""
    fold = TrainSettings(
        recipe="tiny", recordings_dir=settings.recordings_dir, runs_dir=settings.runs_dir, bundle_dir=tmp_path / "one"
    )

    assert train(fold) == 0

    classifier = Classifier(bundle.load(tmp_path / "one"))
    assert classifier._input["dtype"] is classifier._output["dtype"] is np.int8
    assert tuple(classifier._input["shape"]) == (1, 147, 64, 1)


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


def test_a_run_folder_of_another_recipe_is_refused(
    settings: TrainSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run folder whose config.json tells another recipe, or none, is left as it is, and named."""
    plan = recipe.load("tiny")
    folder = tmp_path / "runs" / f"{plan.name}-{plan.sha256[:8]}" / "block-4-seed-1"
    folder.mkdir(parents=True)
    fold = TrainSettings(recipe="tiny", recordings_dir=settings.recordings_dir, runs_dir=tmp_path / "runs")
    other = msgspec.json.encode({"data_sha256": "0" * 64, "recipe": recipe.load("ang-hap-neu")})

    for content, reason in ((other, "of another recipe than tiny-0: move it away"), (b"{}", "holds no recipe")):
        (folder / "config.json").write_bytes(content)
        assert train(fold) == 2

        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"moodwire train: {folder}")
        assert reason in error
        assert (folder / "config.json").read_bytes() == content


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"split": "random"}, "split is 'random'"),
        ({"split": "leaky", "bundle_dir": Path("b")}, "leave out bundle_dir"),
        ({"split": "sentences", "release": True}, "leave out bundle_dir and release"),
        ({"block": 5}, "block is 5: choose one of 1, 2, 3, 4"),
    ],
)
def test_wrong_split_is_refused(wrong: dict[str, Any], reason: str) -> None:
    """An unknown split, and a bundle made of a split that only measures, are each a sentence."""
    with pytest.raises(ValueError, match=reason):
        TrainSettings(**wrong)


def test_one_training_makes_models_for_other_labels(
    settings: TrainSettings, write_recipe: Callable[..., str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A recipe that asks a network of four labels for two of them trains nothing anew: it says what the other one says.

    Clips of all four have trained it, those of the two score it.
    """
    four = write_recipe("four", labels=["ANG", "HAP", "NEU", "SAD"])
    two = write_recipe("two", labels=["SAD", "HAP"], taught=["ANG", "NEU"])

    for plan in (four, two):
        folder = tmp_path / Path(plan).stem
        assert train(TrainSettings(plan, settings.recordings_dir, settings.runs_dir, folder)) == 0

    assert capfd.readouterr().out.count('"epoch":1,') == 1
    made, whole = (load_verified(tmp_path / name).bundle for name in ("two", "four"))
    assert made.manifest.labels == ("SAD", "HAP")
    assert made.manifest.measured["heard"] == ["ANG", "HAP", "NEU", "SAD"]
    assert made.manifest.measured["clips"] == {"train": 24, "test": 4}
    window = made.manifest.front_end.log_mel(synthetic_clip(48_000))
    (said,), (of_all,) = (evaluation.logits(Classifier(one), [window]) for one in (made, whole))
    np.testing.assert_allclose(said, of_all[[3, 1]], atol=0.1 * np.ptp(of_all))


def test_what_people_heard_is_learned_beside(
    settings: TrainSettings, write_recipe: Callable[..., str], tmp_path: Path
) -> None:
    """A network that also learns votes gives what it was asked for, and is another one than without them.

    Clips that nobody was asked about train it all the same. With other votes it is not the same training.
    """
    plan = recipe.load("tiny")
    without = write_recipe("without", votes=0.0)
    made = []
    for name in ("tiny", without):
        folder = tmp_path / f"bundle-{len(made)}"
        assert train(TrainSettings(name, settings.recordings_dir, settings.runs_dir, folder)) == 0
        made.append(bundle.load(folder))

    window = made[0].manifest.front_end.log_mel(synthetic_clip(48_000))
    voted, told = (evaluation.logits(Classifier(one), [window]) for one in made)
    assert voted.shape == told.shape == (1, 3)
    assert not np.allclose(voted, told)
    assert (plan.outputs, recipe.load(without).outputs) == (9, 3)

    all_clips, fold = corpora.read_clips(settings.recordings_dir, plan.clip_labels), Fold(4, 1)
    folder = settings.runs_dir / plan.folder / fold.folder
    assert commands._finished(folder, plan, all_clips, fold) == made[0].manifest
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
    assert "does not tell whom it has heard; `moodwire train` writes that" in capsys.readouterr().err


def test_what_cannot_be_scored_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing bundle, a missing corpus and runs that are not there each give one sentence and exit code 2."""
    assert evaluate(EvaluateSettings(bundle="nope")) == 2
    assert evaluate(EvaluateSettings(recordings_dir=tmp_path)) == 2
    assert report(ReportSettings(tmp_path, tmp_path / "results", tmp_path / "RESULTS.md")) == 2

    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert "nor " in errors[2]
    assert "no bundle 'nope'" in errors[0]
    assert "recordings_dir must name" in errors[1]
