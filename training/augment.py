"""What makes training windows harder than the studio they were recorded in. Applied to training windows only."""

import numpy as np
from numpy.typing import NDArray

from models.frontend import Frames
from training.recipe import Augment


def distort(frames: Frames, beside: NDArray[np.bool_], augment: Augment, rng: np.random.Generator) -> Frames:
    """Return a window in dB as another microphone in another room might hear it.

    Args:
        frames: a clip amid digital silence, shape (frames, mels), dB.
        beside: which frames lie beside the clip, wholly or in part, shape (frames,).
        augment: what to do.
        rng: source of chance.
    """
    bands = np.linspace(-0.5, 0.5, frames.shape[1])
    if rng.random() < augment.background_share:
        heard = np.ones_like(beside) if rng.random() < augment.under_share else beside
        power = 10 ** (frames / 10)
        noise_power = power[~beside].mean() / 10 ** (rng.uniform(*augment.snr_db) / 10)
        power[heard] += steady_noise(noise_power, rng.uniform(*augment.slope_db) * bands, int(heard.sum()), rng)
        frames = 10 * np.log10(power)
    return (frames + rng.uniform(-augment.tilt_db, augment.tilt_db) * bands).astype(np.float32)


def steady_noise(
    power: float, colour_db: NDArray[np.float64], length: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return so many frames of noise with this mean power and this colour, shape (length, mels), power.

    A noise's power in one band and frame is exponentially distributed around its mean, as the sum of the squares of
    two normal variables is. The few frequency bins of a band are taken as one.
    """
    colour = 10 ** (colour_db / 10)
    return rng.exponential(colour * (power / colour.mean()), (length, len(colour)))


def mask(window: Frames, augment: Augment, rng: np.random.Generator) -> Frames:
    """Return a normalised window with stripes of it silent (Park et al. 2019, SpecAugment)."""
    window = window.copy()
    for axis, masks, widest in (
        (0, augment.time_masks, augment.time_mask_frames),
        (1, augment.mel_masks, augment.mel_mask_bands),
    ):
        for _ in range(masks):
            width = rng.integers(0, widest + 1)
            start = rng.integers(0, window.shape[axis] - width + 1)
            window[(slice(None),) * axis + (slice(start, start + width),)] = 0
    return window


def mixup(
    windows: NDArray[np.float32], truth: NDArray[np.float32], beta: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Blend each window and its truth with another one of the batch (Zhang et al. 2018, mixup)."""
    share = rng.beta(beta, beta, len(windows)).astype(np.float32)
    share = np.maximum(share, 1 - share)
    other = rng.permutation(len(windows))
    wide = share[:, None, None, None]
    return (
        wide * windows + (1 - wide) * windows[other],
        share[:, None] * truth + (1 - share[:, None]) * truth[other],
    )
