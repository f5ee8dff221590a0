"""Teachers give soft targets."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from training import corpora, features, fit, recipe, teach
from training.backgrounds import BACKGROUNDS
from training.features import FrameCache
from training.recipe import Teaching
from training.teach import Teacher


@pytest.mark.slow
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

    targets = teach.soft_targets(teachers, None, banks, clips, plan)

    assert targets.shape == (2, len(clips), 3)
    np.testing.assert_allclose(targets.sum(axis=-1), 1, atol=1e-6)
    heard = features.normalised(features.centred_windows(cache.clips[::2], plan, BACKGROUNDS["silence"]))
    expected = np.mean([tf.nn.softmax(model(heard)[:, :3] / 2) for model in models], axis=0)
    off = np.abs(targets[0] - expected).mean()
    assert off < 0.25 * np.abs(targets[0] - expected.mean(axis=0)).mean()
    assert off < 0.5 * np.abs(targets[1] - expected).mean()
    assert teach.soft_targets([], None, banks, clips, plain).shape == (2, len(clips), 0)


@pytest.mark.slow
def test_whisper_teacher_counts_as_much_as_all_networks(recordings_dir: Path, tmp_path: Path) -> None:
    """The Whisper teacher alone gives its probabilities at each speed; beside networks it has half the weight."""
    plain = recipe.load("tiny")
    plan = msgspec.structs.replace(plain, teaching=Teaching(whisper=True, temperature=2.0))
    cache = FrameCache(corpora.read_clips(recordings_dir, plan.clip_labels), plan.front_end, tmp_path)
    banks, clips = [cache.bank(1.0), cache.bank(0.9)], np.arange(4)
    heard = np.random.default_rng(1).normal(0, 2, (4, 3)).astype(np.float32)
    tf_keras.utils.set_random_seed(1)
    fit.untrained(plain, plain.outputs).save_weights(tmp_path / fit.WEIGHTS)
    networks = [Teacher(plain, tmp_path)]

    alone = teach.soft_targets([], heard, banks, clips, plan)
    theirs = teach.soft_targets(networks, None, banks, clips, plan)
    both = teach.soft_targets(networks, heard, banks, clips, plan)

    np.testing.assert_allclose(alone, [tf.nn.softmax(heard / 2)] * 2, atol=1e-6)
    np.testing.assert_allclose(both, (alone + theirs) / 2, atol=1e-6)
