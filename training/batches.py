"""Training batches: every epoch each clip once, at a random speed and place, augmented."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training import augment, features
from training.augment import Windows
from training.features import Bank
from training.recipe import Recipe

Targets = NDArray[np.float32]
"""How much of each label a window or a clip has, shape (n, labels); each row sums to 1."""


class Lessons(NamedTuple):
    """Clips, and what is to be learned from each."""

    clips: NDArray[np.intp]
    """Their numbers, shape (n,)."""
    truth: Targets
    """What they portray, shape (n, labels)."""
    said: NDArray[np.float32]
    """What teachers say of them at each speed, shape (speeds, n, labels); (speeds, n, 0) where there are none."""


class Batch(NamedTuple):
    """What a network hears at once, and what it is to say."""

    windows: NDArray[np.float32]
    """Normalised and augmented, shape (n, frames, mels, 1)."""
    truth: Targets
    said: Targets
    """What the teachers say of the clips at these speeds; nothing, shape (n, 0), where there are none."""


class Batches:
    """The batches of any epoch, the same each time for the same seed, so that a stopped training goes on as it was."""

    def __init__(self, banks: Sequence[Bank], lessons: Lessons, recipe: Recipe, seed: int) -> None:
        """Prepare the batches.

        Args:
            banks: frames of all clips, for each speed.
            lessons: what to learn.
            recipe: what to do.
            seed: of all chance.
        """
        self._banks = banks
        self._lessons = lessons
        self._recipe = recipe
        self._seed = seed
        self._hiss = features.hiss(recipe.front_end)

    def __len__(self) -> int:
        """Return the number of batches in an epoch; the clips of an incomplete one wait for another epoch."""
        return max(1, len(self._lessons.clips) // self._recipe.batch)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Give the batches of one epoch."""
        rng = np.random.default_rng((self._seed, number))
        order = rng.permutation(len(self._lessons.clips))
        for batch in range(len(self)):
            chosen = order[batch * self._recipe.batch :][: self._recipe.batch]
            speeds = rng.integers(len(self._banks), size=len(chosen))
            windows = self._windows(self._lessons.clips[chosen], speeds, rng)
            made = Batch(windows, self._lessons.truth[chosen], self._lessons.said[speeds, chosen])
            if self._recipe.augment.mixup:
                made = Batch(*augment.mixup(made, self._recipe.augment.mixup, rng))
            yield made

    def _windows(
        self, clips: NDArray[np.intp], speeds: NDArray[np.intp], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return an augmented window for each clip at its speed."""
        shape = (len(clips), self._recipe.window_frames, self._recipe.front_end.n_mels)
        windows, beside = np.empty(shape, np.float32), np.empty(shape[:2], bool)
        for speed in np.unique(speeds):
            rows = speeds == speed
            windows[rows], beside[rows] = self._placed(self._banks[speed], clips[rows], rng)
        distorted = augment.distort(windows, beside, self._recipe.augment, self._hiss, rng)
        return augment.mask(features.normalised(distorted)[..., 0], self._recipe.augment, rng)[..., None]

    def _placed(
        self, bank: Bank, clips: NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[Windows, NDArray[np.bool_]]:
        before = features.margin_frames(self._recipe) - bank.edge
        last = bank.lengths(clips) + 2 * before - self._recipe.window_frames
        # mostly the whole clip, sometimes a part of it
        starts = np.rint(rng.triangular(0, 0.5, 1, len(clips)) * last).astype(int) - before
        return bank.windows(clips, starts, self._recipe.window_frames)
