"""Soft targets: the probabilities that trained teachers give to the clips that a student learns from."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.runtime import softmax
from training import features, fit
from training.features import Bank
from training.recipe import Recipe

BATCH = 256
"""Windows classified at once."""


class Teacher(NamedTuple):
    """A finished training of the teachers' recipe."""

    recipe: Recipe
    folder: Path
    """Its run folder."""


def soft_targets(
    teachers: Sequence[Teacher], banks: Sequence[Bank], clips: NDArray[np.intp], student: Recipe
) -> NDArray[np.float32]:
    """Return the mean of the teachers' probabilities, shape (speeds, clips, labels); without teachers (…, 0).

    They classify each clip as it was recorded, in the middle of a window, with digital silence before and after it.

    Args:
        teachers: the networks.
        banks: frames of all clips, for each speed.
        clips: indices of the clips, shape (clips,).
        student: its labels, window and temperature.
    """
    if student.teaching is None:
        return np.empty((len(banks), len(clips), 0), np.float32)
    networks = [fit.load(teacher.recipe, teacher.folder, student.learned) for teacher in teachers]
    targets = np.empty((len(banks), len(clips), len(student.learned)), np.float32)
    for speed, bank in enumerate(banks):
        for first in range(0, len(clips), BATCH):
            batch = clips[first : first + BATCH]
            starts = (bank.lengths(batch) - student.window_frames) // 2
            windows = features.normalised(bank.windows(batch, starts, student.window_frames)[0])
            logits = [network.predict_on_batch(windows) / student.teaching.temperature for network in networks]
            targets[speed, first : first + BATCH] = np.mean([softmax(given) for given in logits], axis=0)
    return targets
