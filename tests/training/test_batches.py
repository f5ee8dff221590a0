"""Training batches hold the clips that they should, each once in an epoch."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from training import corpora, features, recipe
from training.batches import Batches, TrainingSet
from training.features import FrameCache
from training.recipe import Augment, Recipe

PLAN = msgspec.structs.replace(recipe.load("tiny"), augment=Augment(speeds=(0.9, 1.1)))


@pytest.fixture
def cache(recordings_dir: Path, tmp_path: Path) -> FrameCache:
    """Return the miniature corpus."""
    return FrameCache(corpora.read_clips(recordings_dir, PLAN.labels), PLAN.front_end, tmp_path)


def batches(cache: FrameCache, seed: int = 1, plan: Recipe = PLAN) -> Batches:
    """Return batches of every second clip; its index is its target and, with its speed, its soft target."""
    chosen = np.arange(0, len(cache.clips), 2)
    banks = [cache.bank(speed) for speed in plan.augment.speeds]
    targets = chosen[:, None].astype(np.float32)
    soft_targets = np.stack(
        [np.concatenate([targets, np.full_like(targets, speed)], axis=1) for speed in range(len(banks))]
    )
    return Batches(banks, TrainingSet(chosen, targets, soft_targets), plan, seed)


def test_an_epoch_holds_each_clip_at_most_once(cache: FrameCache) -> None:
    """12 clips make one batch of 8, of different clips; another epoch has others."""
    made = batches(cache)

    ((windows, targets, _),), ((_, later, _),) = made.epoch(0), made.epoch(1)

    assert len(made) == 1
    assert windows.shape == (8, 147, 64, 1)
    assert len(np.unique(targets)) == 8
    assert set(targets[:, 0]) <= set(range(0, 24, 2))
    assert targets.tolist() != later.tolist()


def test_an_epoch_is_the_same_each_time(cache: FrameCache) -> None:
    """The same seed and number give the same batches, another seed gives others."""
    ((first, *_),), ((again, *_),), ((other, *_),) = (batches(cache, seed).epoch(3) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_soft_targets_belong_to_the_clip_at_its_speed(cache: FrameCache) -> None:
    """A window has the soft targets of its clip at its speed; the faster it is, the less of the window it fills."""
    plan = msgspec.structs.replace(PLAN, augment=Augment(speeds=(1.0, 4.0)))

    (batch,) = batches(cache, plan=plan).epoch(0)

    np.testing.assert_array_equal(batch.soft_targets[:, :1], batch.targets)
    inside = (batch.windows > 0).any(axis=(2, 3)).sum(axis=1)
    fast = batch.soft_targets[:, 1] == 1
    assert fast.any()
    assert inside[fast].max() < inside[~fast].min()


def test_every_window_holds_a_second_of_its_clip(cache: FrameCache) -> None:
    """Wherever a window is placed, at least a second of it is speech."""
    rng = np.random.default_rng(1)
    least = PLAN.front_end.frames_in(16_000) - 1
    bank, clips = cache.bank(PLAN.augment.speeds[0]), np.arange(len(cache.clips)).repeat(50)

    windows, padding = batches(cache)._placed(bank, clips, rng)

    long_enough = bank.lengths(clips) - 2 * bank.edge > least
    assert (~padding).sum(axis=1)[long_enough].min() >= least
    assert padding.any()
    assert windows.shape == (len(clips), 147, 64)


def test_margin_leaves_a_second(cache: FrameCache) -> None:
    """A window of 3 s may stand 2 s beside its clip, one of half a second not at all."""
    assert features.margin_frames(PLAN) == 100
    assert features.margin_frames(msgspec.structs.replace(PLAN, window_ms=500)) == 0
