"""A network is trained in its run folder, after its teachers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import tf_keras
from miniature import CrossValidated

from models import bundle
from models.runtime import Classifier, load_verified, synthetic_clip
from training import corpora, fit, learn, recipe, rounding, splits
from training import evaluate as evaluation
from training.batches import Batches
from training.commands import train
from training.features import FrameCache
from training.settings import TrainSettings
from training.splits import Fold

pytestmark = pytest.mark.slow


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


def test_a_stopped_training_goes_on(recordings_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that is killed in its second epoch does that epoch again and no other."""
    plan, fold = recipe.load("tiny"), Fold(4, 1)
    cache = FrameCache(corpora.read_clips(recordings_dir, plan.clip_labels), plan.front_end, tmp_path)
    split = splits.of(cache.clips, fold, plan)
    asked: list[int] = []
    epoch = Batches.epoch

    def killed_once(self: Batches, number: int) -> Iterator[Any]:
        asked.append(number)
        if asked == [0, 1]:
            raise KeyboardInterrupt
        return epoch(self, number)

    monkeypatch.setattr(Batches, "epoch", killed_once)

    with pytest.raises(KeyboardInterrupt):
        learn.learn(cache, plan, split, fold, tmp_path)
    folder = learn.learn(cache, plan, split, fold, tmp_path)

    curves = folder / "curves.jsonl"
    assert asked == [0, 1, 1]
    assert [msgspec.json.decode(line)["epoch"] for line in curves.read_text().splitlines()] == [1, 2]


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


def test_a_network_is_taught_by_others(
    cross_validated: CrossValidated, write_recipe: Callable[..., str], tmp_path: Path
) -> None:
    """Its teachers are trained first, of the same clips; it also hears clips whose label only they can judge."""
    settings = cross_validated.settings
    plan = write_recipe("pupil", teaching={"recipe": "tiny", "seeds": 2, "unlabelled": ["SAD"]})

    assert train(TrainSettings(plan, settings.recordings_dir, settings.runs_dir, tmp_path / "three")) == 0

    measured = bundle.load(tmp_path / "three").manifest.measured
    assert measured["teachers"] == "2 networks of tiny-0"
    assert measured["clips"] == {"train": 24, "test": 6}
    first, second = (next(settings.runs_dir.glob(f"tiny-0-*/block-4-seed-{seed}")) for seed in (1, 2))
    assert not (second / "manifest.json").exists()
    for teacher in (first, second):
        config = msgspec.json.decode((teacher / "config.json").read_bytes())
        assert config["data_sha256"] == bundle.load(first).manifest.data_sha256
        assert (teacher / "curves.jsonl").read_text().count("\n") == 2


def test_a_student_may_begin_as_a_teacher(
    recordings_dir: Path, write_recipe: Callable[..., str], tmp_path: Path
) -> None:
    """It has the weights of one of its teachers when it has learned nothing itself, another one for each seed."""
    teaching = {"recipe": "tiny", "seeds": 2, "starts": True}
    pupil = recipe.load(
        write_recipe("pupil", epochs=1, learning_rate=1e-30, pruning={"sparsity": 0.0}, teaching=teaching)
    )
    cache = FrameCache(corpora.read_clips(recordings_dir, pupil.clip_labels), pupil.front_end, tmp_path)
    for seed in (1, 2):  # nothing but their weights counts here
        tf_keras.utils.set_random_seed(10 + seed)
        folder = tmp_path / recipe.load("tiny").folder / f"block-4-seed-{seed}"
        folder.mkdir(parents=True)
        network = fit.untrained(pupil, pupil.outputs)
        for kernel in rounding.kernels(network):
            kernel.assign(rounding.rounded(kernel, pupil.levels))
        network.save_weights(folder / fit.WEIGHTS)

    for seed, teacher in ((1, 2), (2, 1)):
        fold = Fold(4, seed)
        folder = learn.learn(cache, pupil, splits.of(cache.clips, fold, pupil), fold, tmp_path)
        theirs = next(tmp_path.glob("tiny-0-*")) / f"block-4-seed-{teacher}"
        trained = [fit.load(pupil, place, pupil.labels).trainable_weights for place in (folder, theirs)]
        for one, other in zip(*trained, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-20)
