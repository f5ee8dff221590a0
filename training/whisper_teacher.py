"""The Whisper teacher: a regression on what the encoder of Whisper makes of each clip.

It has heard far more voices and rooms than the corpus has. It classifies clips as they were recorded, so whoever learns
from it may hear them in any room.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from models.frontend import SAMPLE_RATE_HZ
from training import corpora, whisper
from training.corpora import Clip
from training.features import FOLDER

REGULARISATION = 1e-3
"""C of the regression: there are as many statistics as clips."""
GROUPS = 6
"""Groups of speakers; those of a group are judged by a regression that has not heard them."""

Array = NDArray[np.float32]


def statistics(clips: Sequence[Clip], runs_dir: Path) -> Array:
    """Return what `whisper.Encoder.statistics` says of each clip, shape (clips, statistics).

    They take an eighth of a second a clip and are kept in `runs_dir`; the folder may be deleted.

    Raises:
        TeacherError: the encoder's weights are not installed.
        CorpusError: a clip cannot be read.
    """
    key = hashlib.sha256((corpora.digest(clips) + str([clip.path.stem for clip in clips])).encode()).hexdigest()
    file = runs_dir / FOLDER / f"whisper-{key[:16]}.npy"
    if not file.is_file():
        encoder = whisper.load(whisper.find())
        heard = [
            encoder.statistics(corpora.read_audio(clip, SAMPLE_RATE_HZ)).astype(np.float16)
            for clip in tqdm(clips, "Whisper", leave=False, unit="clip", disable=None)
        ]
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"partial-{os.getpid()}-{file.name}")  # two trainings may write it at once
        np.save(partial, np.stack(heard))
        partial.replace(file)
    found: Array = np.load(file).astype(np.float32)
    return found


def train(heard: Array, clips: Sequence[Clip]) -> Any:
    """Return a regression of the labels of clips on their statistics, scikit-learn's."""
    regression = LogisticRegression(C=REGULARISATION, max_iter=1_000)
    return make_pipeline(StandardScaler(), regression).fit(heard, [clip.label for clip in clips])


def logits(heard: Array, clips: Sequence[Clip], labels: Sequence[str]) -> NDArray[np.float64]:
    """Return the logits of clips by regressions that have not heard their speakers, shape (clips, labels).

    What a regression says of clips that trained it is nearly their label, and teaches no more than the label does.

    Args:
        heard: statistics of the clips.
        clips: of several speakers, each of them with clips of all labels.
        labels: the order of the answers.
    """
    speakers = sorted({clip.speaker for clip in clips})
    groups = np.array([speakers.index(clip.speaker) % GROUPS for clip in clips])
    found = np.empty((len(clips), len(labels)))
    for group in np.unique(groups):
        others = np.flatnonzero(groups != group).tolist()
        regression = train(heard[others], [clips[number] for number in others])
        order = [list(regression.classes_).index(label) for label in labels]
        found[groups == group] = regression.decision_function(heard[groups == group])[:, order]
    return found
