"""What makes training windows harder than the studio they were recorded in. Applied to training windows only."""

import numpy as np
from numpy.typing import NDArray

from models.frontend import Frames
from training.recipe import Augment


def distort(frames: Frames, augment: Augment, rng: np.random.Generator) -> Frames:
    """Return a window in dB as another microphone in a noisier room might hear it."""
    bands = np.linspace(-0.5, 0.5, frames.shape[1])
    frames = frames + rng.uniform(-augment.tilt_db, augment.tilt_db) * bands
    if rng.random() < augment.noise_share:
        frames = add_noise(frames, rng.uniform(*augment.snr_db), rng.uniform(-20, 10) * bands, rng)
    return frames.astype(np.float32)


def add_noise(frames: Frames, snr_db: float, colour_db: NDArray[np.float64], rng: np.random.Generator) -> Frames:
    """Return a window with steady noise of this colour added in the power domain.

    A noise's power in one band and frame is exponentially distributed around its mean, as the sum of the squares of
    two normal variables is. The few frequency bins of a band are taken as one.
    """
    signal = 10 ** (frames / 10)
    noise = 10 ** (colour_db / 10) * rng.exponential(size=frames.shape)
    noise *= signal.mean() / noise.mean() / 10 ** (snr_db / 10)
    mixed: Frames = (10 * np.log10(signal + noise)).astype(np.float32)
    return mixed


def mask(window: Frames, augment: Augment, rng: np.random.Generator) -> Frames:
    """Return a standardised window with stripes of it set to its mean, 0 (Park et al. 2019, SpecAugment)."""
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
