"""What makes training windows harder than the studio they were recorded in. Applied to training windows only."""

import numpy as np
from numpy.typing import NDArray

from training.recipe import Augment

Windows = NDArray[np.float32]
"""Shape (windows, frames, mels)."""
Beside = NDArray[np.bool_]
"""Which frames lie beside the clip, wholly or in part, shape (windows, frames)."""
Hiss = NDArray[np.float32]
"""White noise as the front end hears it: power relative to each band's mean, shape (frames, mels)."""


def distort(windows: Windows, beside: Beside, augment: Augment, hiss: Hiss, rng: np.random.Generator) -> Windows:
    """Return windows in dB as other microphones in other rooms might hear them.

    Args:
        windows: clips amid digital silence, dB.
        beside: where that silence is.
        augment: what to do.
        hiss: what the noise is made of.
        rng: source of chance.
    """
    count, _, mels = windows.shape
    bands = np.linspace(-0.5, 0.5, mels)
    noisy = rng.random(count) < augment.background_share
    heard = beside | (rng.random(count) < augment.under_share)[:, None]
    power = _to_power(windows)
    speech = (power.mean(axis=2) * ~beside).sum(axis=1) / np.maximum(1, (~beside).sum(axis=1))
    noise_power = noisy * speech / 10 ** (rng.uniform(*augment.snr_db, count) / 10)
    colour_db = rng.uniform(*augment.slope_db, count)[:, None] * bands
    power += steady_noise(noise_power, colour_db, hiss, windows.shape[1], rng) * heard[..., None]
    tilt_db = rng.uniform(-augment.tilt_db, augment.tilt_db, count)[:, None] * bands
    return _to_db(power) + tilt_db[:, None].astype(np.float32)


def steady_noise(
    power: NDArray[np.float64], colour_db: NDArray[np.float64], hiss: Hiss, length: int, rng: np.random.Generator
) -> Windows:
    """Return so many frames of noise for each mean power and colour, shape (windows, length, mels), power.

    It flickers as noise does in a spectrogram: much in the narrow low bands, little in the wide high ones, and alike in
    frames that overlap. A network that was trained with noise that flickers alike in all bands hears poorly amid real
    noise.

    Args:
        power: mean over all bands, shape (windows,).
        colour_db: the bands relative to each other, shape (windows, mels).
        hiss: what to take a random part of.
        length: frames wanted.
        rng: source of chance.
    """
    colour = 10 ** (colour_db / 10)
    level = (colour * (power / colour.mean(axis=1))[:, None]).astype(np.float32)
    starts = rng.integers(0, len(hiss) - length + 1, len(level))
    return hiss[starts[:, None] + np.arange(length)] * level[:, None]


def mask(windows: Windows, augment: Augment, rng: np.random.Generator) -> Windows:
    """Return normalised windows with stripes of them silent (Park et al. 2019, SpecAugment)."""
    for axis, masks, widest in (
        (1, augment.time_masks, augment.time_mask_frames),
        (2, augment.mel_masks, augment.mel_mask_bands),
    ):
        places = np.arange(windows.shape[axis])
        for _ in range(masks):
            width = rng.integers(0, widest + 1, len(windows))
            start = rng.integers(0, windows.shape[axis] - width + 1)
            silent = (places >= start[:, None]) & (places < (start + width)[:, None])
            windows = np.where(np.expand_dims(silent, 3 - axis), np.float32(0), windows)
    return windows


def mixup(
    windows: Windows, truth: NDArray[np.float32], beta: float, rng: np.random.Generator
) -> tuple[Windows, NDArray[np.float32]]:
    """Blend each window and its truth with another one of the batch (Zhang et al. 2018, mixup)."""
    share = rng.beta(beta, beta, len(windows)).astype(np.float32)
    share = np.maximum(share, 1 - share)
    other = rng.permutation(len(windows))
    wide = share[:, None, None]
    return (
        wide * windows + (1 - wide) * windows[other],
        share[:, None] * truth + (1 - share[:, None]) * truth[other],
    )


def _to_power(decibel: Windows) -> Windows:
    return np.exp(decibel * np.float32(np.log(10) / 10))


def _to_db(power: Windows) -> Windows:
    return np.log(power) * np.float32(10 / np.log(10))
