"""Clips to log-mel frames, through the one front end, with room to place a window around each clip.

A window is longer than most clips. What lies beside the clip is noise with the level and the colour of the clip's
own background, because a microphone never hears digital silence. The frames of a padded clip are computed once;
every placement of the window is a slice of them.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import soxr
from numpy.typing import NDArray

from models.frontend import Frames, Samples
from training import corpora
from training.corpora import Clip
from training.recipe import Recipe

MARGIN_S = 0.2
"""Room beside a clip even where it fills the window, so that it can always be shifted."""


def padded_frames(clips: Sequence[Clip], recipe: Recipe, speed: float = 1.0) -> list[Frames]:
    """Return the log-mel frames of each clip with noise on both sides, shape (window_frames or more, n_mels), dB."""
    return [
        recipe.front_end.log_mel(pad(samples, recipe.window_samples, np.random.default_rng(number)))
        for number, samples in enumerate(_heard(clips, recipe.front_end.sample_rate_hz, speed))
    ]


def middle(frames: Frames, length: int) -> Frames:
    """Return the middle window: the whole clip amid noise, or the middle of a clip longer than the window."""
    start = (len(frames) - length) // 2
    return frames[start : start + length]


def pad(samples: Samples, window: int, rng: np.random.Generator) -> Samples:
    """Return the clip with noise on both sides, so that a window can have the clip at its start or at its end."""
    beside = max(0, window - len(samples)) + int(MARGIN_S * 16_000)
    noise = background(samples, 2 * beside, rng)
    return np.concatenate((noise[:beside], samples, noise[beside:]))


def background(samples: Samples, length: int, rng: np.random.Generator, frame: int = 512) -> Samples:
    """Return noise like the clip's own background: the spectrum of its quietest tenth, at random phase.

    Args:
        samples: the clip.
        length: samples wanted.
        rng: source of the phases.
        frame: samples per analysed frame.
    """
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float64)
    levels = frames.std(axis=1)
    sounding = frames[levels > 0]  # some clips begin or end in digital silence
    if len(sounding) == 0:
        return np.zeros(length, np.int16)
    quietest = sounding[np.argsort(levels[levels > 0])[: max(1, len(sounding) // 10)]]
    hann = np.hanning(frame)
    power = (np.abs(np.fft.rfft(quietest * hann)) ** 2).mean(axis=0) / (hann**2).sum()  # per sample
    bins = np.linspace(0, frame // 2, length // 2 + 1)
    magnitude = np.sqrt(np.interp(bins, np.arange(frame // 2 + 1), power))
    white = np.fft.rfft(rng.standard_normal(length))
    return np.rint(np.fft.irfft(white * magnitude, length)).clip(-32_768, 32_767).astype(np.int16)


def _heard(clips: Sequence[Clip], sample_rate_hz: int, speed: float) -> Iterator[Samples]:
    for clip in clips:
        samples = corpora.read_audio(clip, sample_rate_hz)
        yield samples if speed == 1 else soxr.resample(samples, sample_rate_hz * speed, sample_rate_hz)


def targets(clips: Sequence[Clip], labels: tuple[str, ...]) -> NDArray[np.intp]:
    """Return each clip's class, shape (clips,)."""
    return np.array([labels.index(clip.label) for clip in clips])
