"""Networks that teach another one, and what it begins with."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from models import bundle
from training import corpora, features, fit, learn, recipe, splits, teach
from training.backgrounds import BACKGROUNDS
from training.commands import train
from training.features import FrameCache
from training.recipe import Teaching
from training.settings import TrainSettings
from training.splits import Fold
from training.teach import Teacher


@pytest.fixture
def settings(recordings_dir: Path, tmp_path: Path) -> TrainSettings:
    """Return settings for trainings on the miniature corpus."""
    return TrainSettings(recipe="tiny", recordings_dir=recordings_dir, runs_dir=tmp_path / "runs")


def test_a_network_is_taught_by_others(
    settings: TrainSettings, write_recipe: Callable[..., str], tmp_path: Path
) -> None:
    """Its teachers are trained first, of the same clips; it also hears clips whose label only they can judge."""
    plan = write_recipe("pupil", teaching={"recipe": "tiny", "seeds": 2, "unlabelled": ["SAD"]})

    assert train(TrainSettings(plan, settings.recordings_dir, settings.runs_dir, tmp_path / "three")) == 0

    measured = bundle.load(tmp_path / "three").manifest.measured
    assert measured["teachers"] == "2 networks of tiny-0"
    assert measured["clips"] == {"train": 24, "test": 6}
    runs = next(settings.runs_dir.glob("tiny-0-*"))
    assert [folder.name for folder in sorted(runs.iterdir())] == ["block-4-seed-1", "block-4-seed-2"]
    assert not (runs / "block-4-seed-1" / "manifest.json").exists()

    assert train(TrainSettings("tiny", settings.recordings_dir, settings.runs_dir, tmp_path / "one")) == 0
    assert bundle.load(tmp_path / "one").manifest.measured["clips"] == {"train": 18, "test": 6}
    assert (runs / "block-4-seed-1" / "curves.jsonl").read_text().count("\n") == 2


def test_a_student_may_begin_as_a_teacher(settings: TrainSettings, write_recipe: Callable[..., str]) -> None:
    """It has the weights of one of its teachers when it has learned nothing itself, another one for each seed."""
    teaching = {"recipe": "tiny", "seeds": 2, "starts": True}
    pupil = recipe.load(
        write_recipe("pupil", epochs=1, learning_rate=1e-30, pruning={"sparsity": 0.0}, teaching=teaching)
    )
    clips = corpora.read_clips(settings.recordings_dir, pupil.clip_labels)

    for seed, teacher in ((1, 2), (2, 1)):
        cache = FrameCache(clips, pupil.front_end, settings.runs_dir)
        fold = Fold(4, seed)
        folder = learn.learn(cache, pupil, splits.of(cache.clips, fold, pupil), fold, settings.runs_dir)
        theirs = next(settings.runs_dir.glob("tiny-0-*")) / f"block-4-seed-{teacher}"
        trained = [fit.load(pupil, place, pupil.labels).trainable_weights for place in (folder, theirs)]
        for one, other in zip(*trained, strict=True):
            np.testing.assert_array_equal(one, other)


def test_soft_targets_are_the_mean_of_the_teachers(recordings_dir: Path, tmp_path: Path) -> None:
    """Soft targets are the mean of the teachers' probabilities for the clip in the middle of a window, amid silence."""
    plain = recipe.load("tiny")
    plan = msgspec.structs.replace(plain, teaching=Teaching(recipe="tiny", temperature=2.0))
    cache = FrameCache(corpora.read_clips(recordings_dir, plan.clip_labels), plan.front_end, tmp_path)
    teachers, models = [Teacher(plain, tmp_path / str(seed)) for seed in (1, 2)], []
    for seed, teacher in enumerate(teachers):
        tf_keras.utils.set_random_seed(seed)
        model = fit.untrained(plain, plain.outputs)
        model.set_weights([values * 10 if values.ndim == 2 else values for values in model.get_weights()])
        teacher.folder.mkdir()
        model.save_weights(teacher.folder / fit.WEIGHTS)
        models.append(model)
    banks, clips = [cache.bank(1.0), cache.bank(0.9)], np.arange(0, len(cache.clips), 2)

    targets = teach.soft_targets(teachers, banks, clips, plan)

    assert targets.shape == (2, len(clips), 3)
    np.testing.assert_allclose(targets.sum(axis=-1), 1, atol=1e-6)
    heard = features.normalised(features.centred_windows(cache.clips[::2], plan, BACKGROUNDS["silence"]))
    expected = np.mean([tf.nn.softmax(model(heard)[:, :3] / 2) for model in models], axis=0)
    off = np.abs(targets[0] - expected).mean()
    assert off < 0.25 * np.abs(targets[0] - expected.mean(axis=0)).mean()
    assert off < 0.5 * np.abs(targets[1] - expected).mean()
    assert teach.soft_targets([], banks, clips, plain).shape == (2, len(clips), 0)
