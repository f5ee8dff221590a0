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


class Batch(NamedTuple):
    """What a network and its teachers hear at once."""

    windows: NDArray[np.float32]
    """Normalised and augmented, shape (n, frames, mels, 1)."""
    plain: NDArray[np.float32]
    """The same as they were recorded, amid digital silence, if there are teachers to hear them."""
    truth: Targets


class Batches:
    """The batches of any epoch, the same each time for the same seed, so that a stopped training goes on as it was."""

    def __init__(
        self, banks: Sequence[Bank], clips: NDArray[np.intp], truth: Targets, recipe: Recipe, seed: int
    ) -> None:
        """Prepare the batches.

        Args:
            banks: frames of all clips, for each speed.
            clips: which of them to train on, shape (n,).
            truth: what these portray, shape (n, labels).
            recipe: what to do.
            seed: of all chance.
        """
        self._banks = banks
        self._clips = clips
        self._truth = truth
        self._recipe = recipe
        self._seed = seed
        self._hiss = features.hiss(recipe.front_end)

    def __len__(self) -> int:
        """Return the number of batches in an epoch; the clips of an incomplete one wait for another epoch."""
        return max(1, len(self._clips) // self._recipe.batch)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Give the batches of one epoch."""
        rng = np.random.default_rng((self._seed, number))
        order = rng.permutation(len(self._clips))
        for batch in range(len(self)):
            chosen = order[batch * self._recipe.batch :][: self._recipe.batch]
            made = Batch(*self._windows(self._clips[chosen], rng), self._truth[chosen])
            if self._recipe.augment.mixup:
                made = Batch(*augment.mixup(made, self._recipe.augment.mixup, rng))
            yield made

    def _windows(
        self, clips: NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return a window for each clip, augmented and plain."""
        shape = (len(clips), self._recipe.window_frames, self._recipe.front_end.n_mels)
        windows, beside = np.empty(shape, np.float32), np.empty(shape[:2], bool)
        speeds = rng.integers(len(self._banks), size=len(clips))
        for speed in np.unique(speeds):
            rows = speeds == speed
            windows[rows], beside[rows] = self._placed(self._banks[speed], clips[rows], rng)
        distorted = augment.distort(windows, beside, self._recipe.augment, self._hiss, rng)
        masked = augment.mask(features.normalised(distorted)[..., 0], self._recipe.augment, rng)
        heard = masked[..., None]
        return heard, features.normalised(windows) if self._recipe.teaching else heard

    def _placed(
        self, bank: Bank, clips: NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[Windows, NDArray[np.bool_]]:
        before = features.margin_frames(self._recipe) - bank.edge
        last = bank.lengths(clips) + 2 * before - self._recipe.window_frames
        # mostly the whole clip, sometimes a part of it
        starts = np.rint(rng.triangular(0, 0.5, 1, len(clips)) * last).astype(int) - before
        return bank.windows(clips, starts, self._recipe.window_frames)
