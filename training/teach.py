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

Logits = NDArray[np.float64]

BATCH = 256
"""Windows classified at once."""


class Teacher(NamedTuple):
    """A finished training of the teachers' recipe."""

    recipe: Recipe
    folder: Path
    """Its run folder."""


def soft_targets(
    teachers: Sequence[Teacher],
    heard: Logits | None,
    banks: Sequence[Bank],
    clips: NDArray[np.intp],
    student: Recipe,
) -> NDArray[np.float32]:
    """Return the mean of the teachers' probabilities, shape (speeds, clips, labels); without teachers (…, 0).

    Networks classify each clip as it was recorded, in the middle of a window, with digital silence before and after it.
    The Whisper teacher counts as much as all of them together.

    Args:
        teachers: the networks.
        heard: logits of the Whisper teacher, if it teaches, the same at each speed, shape (clips, labels).
        banks: frames of all clips, for each speed.
        clips: indices of the clips, shape (clips,).
        student: its labels, window and temperature.
    """
    if student.teaching is None:
        return np.empty((len(banks), len(clips), 0), np.float32)
    temperature = student.teaching.temperature
    listened = None if heard is None else softmax(heard / temperature).astype(np.float32)
    if listened is not None and not teachers:
        return np.repeat(listened[None], len(banks), axis=0)
    networks = [fit.load(teacher.recipe, teacher.folder, student.learned) for teacher in teachers]
    targets = np.empty((len(banks), len(clips), len(student.learned)), np.float32)
    for speed, bank in enumerate(banks):
        for first in range(0, len(clips), BATCH):
            batch = clips[first : first + BATCH]
            starts = (bank.lengths(batch) - student.window_frames) // 2
            windows = features.normalised(bank.windows(batch, starts, student.window_frames)[0])
            logits = [network.predict_on_batch(windows) / temperature for network in networks]
            targets[speed, first : first + BATCH] = np.mean([softmax(given) for given in logits], axis=0)
    if listened is not None:
        targets = np.mean([targets, np.broadcast_to(listened, targets.shape)], axis=0)
    return targets
