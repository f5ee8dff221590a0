"""Training batches: every epoch each clip once, at a random speed and place, augmented."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from models.frontend import normalise
from training import augment, features
from training.augment import Windows
from training.features import Bank
from training.recipe import Recipe

Targets = NDArray[np.float32]
"""How much of each label a window or a clip has, shape (n, labels); each row sums to 1."""


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

    def epoch(self, number: int) -> Iterator[tuple[NDArray[np.float32], Targets]]:
        """Give windows, shape (batch, frames, mels, 1), and truth, shape (batch, labels)."""
        rng = np.random.default_rng((self._seed, number))
        order = rng.permutation(len(self._clips))
        for batch in range(len(self)):
            chosen = order[batch * self._recipe.batch :][: self._recipe.batch]
            windows, truth = self._windows(self._clips[chosen], rng), self._truth[chosen]
            if self._recipe.augment.mixup:
                windows, truth = augment.mixup(windows, truth, self._recipe.augment.mixup, rng)
            yield windows[..., None], truth

    def _windows(self, clips: NDArray[np.intp], rng: np.random.Generator) -> Windows:
        shape = (len(clips), self._recipe.window_frames, self._recipe.front_end.n_mels)
        windows, beside = np.empty(shape, np.float32), np.empty(shape[:2], bool)
        speeds = rng.integers(len(self._banks), size=len(clips))
        for speed in np.unique(speeds):
            rows = speeds == speed
            windows[rows], beside[rows] = self._placed(self._banks[speed], clips[rows], rng)
        distorted = augment.distort(windows, beside, self._recipe.augment, self._hiss, rng)
        normalised = np.stack([normalise(window) for window in distorted])
        return augment.mask(normalised, self._recipe.augment, rng)

    def _placed(
        self, bank: Bank, clips: NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[Windows, NDArray[np.bool_]]:
        before = features.margin_frames(self._recipe) - bank.edge
        last = bank.lengths(clips) + 2 * before - self._recipe.window_frames
        # mostly the whole clip, sometimes a part of it
        starts = np.rint(rng.triangular(0, 0.5, 1, len(clips)) * last).astype(int) - before
        return bank.windows(clips, starts, self._recipe.window_frames)
