"""Training batches: in every epoch each clip once, at a random speed and place, augmented."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training import augment, features
from training.augment import Padding, Windows
from training.features import Bank
from training.recipe import Recipe

Targets = NDArray[np.float32]
"""Probability of each label, then share of the votes for each emotion, shape (n, outputs)."""


class TrainingSet(NamedTuple):
    """Clips, and what the network is to answer to each."""

    clips: NDArray[np.intp]
    """Their indices, shape (n,)."""
    targets: Targets
    soft_targets: NDArray[np.float32]
    """Probabilities of the teachers at each speed, shape (speeds, n, labels); without teachers (speeds, n, 0)."""


class Batch(NamedTuple):
    """What a network learns from in one step."""

    windows: NDArray[np.float32]
    """Normalised and augmented, shape (n, frames, mels, 1)."""
    targets: Targets
    soft_targets: NDArray[np.float32]
    """Probabilities of the teachers, shape (n, labels); without teachers (n, 0)."""


class Batches:
    """The batches of any epoch, the same each time for the same seed, so that a stopped training can go on."""

    def __init__(self, banks: Sequence[Bank], training_set: TrainingSet, recipe: Recipe, seed: int) -> None:
        """Prepare the batches.

        Args:
            banks: frames of all clips, for each speed.
            training_set: what to learn.
            recipe: its batch size and augmentation.
            seed: of everything random in the batches.
        """
        self._banks = banks
        self._training_set = training_set
        self._recipe = recipe
        self._seed = seed
        self._hiss = features.hiss(recipe.front_end)

    def __len__(self) -> int:
        """Return the number of batches in an epoch; the clips of an incomplete one are left to other epochs."""
        return max(1, len(self._training_set.clips) // self._recipe.batch)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Give the batches of one epoch."""
        rng = np.random.default_rng((self._seed, number))
        clips, targets, soft_targets = self._training_set
        order = rng.permutation(len(clips))
        for first in range(0, len(self) * self._recipe.batch, self._recipe.batch):
            chosen = order[first : first + self._recipe.batch]
            speeds = rng.integers(len(self._banks), size=len(chosen))
            windows = self._windows(clips[chosen], speeds, rng)
            batch = Batch(windows, targets[chosen], soft_targets[speeds, chosen])
            if self._recipe.augment.mixup:
                batch = Batch(*augment.mixup(batch, self._recipe.augment.mixup, rng))
            yield batch

    def _windows(
        self, clips: NDArray[np.intp], speeds: NDArray[np.intp], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return an augmented window for each clip at its speed."""
        shape = (len(clips), self._recipe.window_frames, self._recipe.front_end.n_mels)
        windows, padding = np.empty(shape, np.float32), np.empty(shape[:2], bool)
        for speed in np.unique(speeds):
            rows = speeds == speed
            windows[rows], padding[rows] = self._placed(self._banks[speed], clips[rows], rng)
        distorted = augment.distort(windows, padding, self._recipe.augment, self._hiss, rng)
        return augment.mask(features.normalised(distorted)[..., 0], self._recipe.augment, rng)[..., None]

    def _placed(self, bank: Bank, clips: NDArray[np.intp], rng: np.random.Generator) -> tuple[Windows, Padding]:
        """Return a window at a random place of each clip: mostly of the whole clip, sometimes of a part of it."""
        margin = features.margin_frames(self._recipe) - bank.edge
        last = bank.lengths(clips) + 2 * margin - self._recipe.window_frames
        starts = np.rint(rng.triangular(0, 0.5, 1, len(clips)) * last).astype(int) - margin
        return bank.windows(clips, starts, self._recipe.window_frames)
