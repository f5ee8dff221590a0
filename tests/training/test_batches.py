"""Training batches hold the clips that they should, each once in an epoch."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from training import corpora, features, recipe
from training.batches import Batches, Lessons
from training.features import Material
from training.recipe import Augment, Recipe

PLAN = msgspec.structs.replace(recipe.load("tiny"), augment=Augment(speeds=(0.9, 1.1)))


@pytest.fixture
def material(recordings_dir: Path, tmp_path: Path) -> Material:
    """Return the miniature corpus."""
    return Material(corpora.read_clips(recordings_dir, PLAN.labels), PLAN.front_end, tmp_path)


def batches(material: Material, seed: int = 1, plan: Recipe = PLAN) -> Batches:
    """Return batches of every second clip, whose number stands in its truth and, with its speed, in what is said."""
    chosen = np.arange(0, len(material.clips), 2)
    banks = [material.bank(speed) for speed in plan.augment.speeds]
    truth = chosen[:, None].astype(np.float32)
    said = np.stack([np.concatenate([truth, np.full_like(truth, speed)], axis=1) for speed in range(len(banks))])
    return Batches(banks, Lessons(chosen, truth, said), plan, seed)


def test_an_epoch_holds_each_clip_at_most_once(material: Material) -> None:
    """12 clips make one batch of 8, of different clips; another epoch has others."""
    made = batches(material)

    ((windows, truth, _),), ((_, later, _),) = made.epoch(0), made.epoch(1)

    assert len(made) == 1
    assert windows.shape == (8, 147, 64, 1)
    assert len(np.unique(truth)) == 8
    assert set(truth[:, 0]) <= set(range(0, 24, 2))
    assert truth.tolist() != later.tolist()


def test_an_epoch_is_the_same_each_time(material: Material) -> None:
    """The same seed and number give the same batches, another seed gives others."""
    ((first, *_),), ((again, *_),), ((other, *_),) = (batches(material, seed).epoch(3) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_is_said_belongs_to_the_clip_at_its_speed(material: Material) -> None:
    """A window brings what teachers said of its clip at the speed it has; the faster it is, the less it fills."""
    plan = msgspec.structs.replace(PLAN, augment=Augment(speeds=(1.0, 4.0)))

    (batch,) = batches(material, plan=plan).epoch(0)

    np.testing.assert_array_equal(batch.said[:, :1], batch.truth)
    inside = (batch.windows > 0).any(axis=(2, 3)).sum(axis=1)
    fast = batch.said[:, 1] == 1
    assert fast.any()
    assert inside[fast].max() < inside[~fast].min()


def test_every_window_holds_a_second_of_its_clip(material: Material) -> None:
    """Wherever a window is placed, at least a second of it is speech."""
    rng = np.random.default_rng(1)
    least = PLAN.front_end.frames_in(16_000) - 1
    bank, clips = material.bank(PLAN.augment.speeds[0]), np.arange(len(material.clips)).repeat(50)

    windows, beside = batches(material)._placed(bank, clips, rng)

    long_enough = bank.lengths(clips) - 2 * bank.edge > least
    assert (~beside).sum(axis=1)[long_enough].min() >= least
    assert beside.any()
    assert windows.shape == (len(clips), 147, 64)


def test_margin_leaves_a_second(material: Material) -> None:
    """A window of 3 s may stand 2 s beside its clip, one of half a second not at all."""
    assert features.margin_frames(PLAN) == 100
    assert features.margin_frames(msgspec.structs.replace(PLAN, window_ms=500)) == 0
