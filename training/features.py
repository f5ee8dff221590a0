"""Clips to log-mel frames, through the one front end."""

from collections.abc import Iterator, Sequence

import numpy as np
import soxr
from numpy.typing import NDArray

from models.frontend import Frames, Samples
from training import backgrounds, corpora
from training.backgrounds import Background
from training.corpora import Clip
from training.recipe import Recipe

LEAST_SPEECH_S = 1.0
"""A training window holds at least so much of its clip, as sliding windows cut into words."""


def training_frames(clips: Sequence[Clip], recipe: Recipe, speed: float = 1.0) -> list[Frames]:
    """Return the log-mel frames of each clip amid digital silence, shape (frames, n_mels), dB.

    Every window of them holds `LEAST_SPEECH_S` of a clip that is that long. The silence stands for a background that
    `augment` adds, another one each time.
    """
    silence = np.zeros(margin_frames(recipe) * recipe.front_end.hop_length, np.int16)
    return [
        recipe.front_end.log_mel(np.concatenate((silence, samples, silence)))
        for samples in _heard(clips, recipe.front_end.sample_rate_hz, speed)
    ]


def margin_frames(recipe: Recipe) -> int:
    """Return how many of the training frames at each end of a clip hold silence, wholly or in part."""
    front_end = recipe.front_end
    return max(0, recipe.window_samples - int(LEAST_SPEECH_S * front_end.sample_rate_hz)) // front_end.hop_length


def centred_windows(clips: Sequence[Clip], recipe: Recipe, background: Background) -> list[Frames]:
    """Return one window for each clip, the clip in its middle amid a background, shape (window_frames, n_mels), dB.

    The backgrounds are the same each time.
    """
    return [
        recipe.front_end.log_mel(
            backgrounds.centred(samples, recipe.window_samples, background, np.random.default_rng(number))
        )
        for number, samples in enumerate(_heard(clips, recipe.front_end.sample_rate_hz))
    ]


def targets(clips: Sequence[Clip], labels: tuple[str, ...]) -> NDArray[np.intp]:
    """Return each clip's class, shape (clips,)."""
    return np.array([labels.index(clip.label) for clip in clips])


def _heard(clips: Sequence[Clip], sample_rate_hz: int, speed: float = 1.0) -> Iterator[Samples]:
    for clip in clips:
        samples = corpora.read_audio(clip, sample_rate_hz)
        yield samples if speed == 1 else soxr.resample(samples, sample_rate_hz * speed, sample_rate_hz)
