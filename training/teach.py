"""What networks that were trained before say of the clips that another one learns from."""

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
"""Windows at once."""


class Teacher(NamedTuple):
    """A network that teaches."""

    recipe: Recipe
    folder: Path
    """Of its training."""


def answers(
    teachers: Sequence[Teacher], banks: Sequence[Bank], clips: NDArray[np.intp], recipe: Recipe
) -> NDArray[np.float32]:
    """Return the mean of the teachers' probabilities, shape (speeds, clips, labels that are learned).

    They hear each clip as it was recorded, in the middle of a window, amid digital silence. Without teachers there are
    no labels.

    Args:
        teachers: whose training is finished.
        banks: frames of all clips, for each speed.
        clips: which of them, shape (clips,).
        recipe: of the student.
    """
    if recipe.teaching is None:
        return np.empty((len(banks), len(clips), 0), np.float32)
    models = [fit.load(teacher.recipe, teacher.folder, recipe.learned) for teacher in teachers]
    said = np.empty((len(banks), len(clips), len(recipe.learned)), np.float32)
    for speed, bank in enumerate(banks):
        for begin in range(0, len(clips), BATCH):
            some = clips[begin : begin + BATCH]
            starts = (bank.lengths(some) - recipe.window_frames) // 2
            heard = features.normalised(bank.windows(some, starts, recipe.window_frames)[0])
            logits = [model.predict_on_batch(heard) / recipe.teaching.temperature for model in models]
            said[speed, begin : begin + BATCH] = np.mean([softmax(given) for given in logits], axis=0)
    return said
