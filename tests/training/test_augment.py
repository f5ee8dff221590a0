"""Augmentation changes what it should, by as much as it should."""

import numpy as np
import pytest

from models.frontend import FrontEnd
from models.runtime import synthetic_clip
from training import augment
from training.recipe import Augment

FRAMES = FrontEnd().log_mel(synthetic_clip(48_000))


def test_noise_has_the_wanted_snr() -> None:
    """At 10 dB, a tenth of the signal's power is added."""
    noisy = augment.add_noise(FRAMES, 10, np.zeros(64), np.random.default_rng(1))

    added = (10 ** (noisy.astype(float) / 10)).mean() / (10 ** (FRAMES.astype(float) / 10)).mean() - 1
    assert added == pytest.approx(0.1, rel=0.01)


def test_nothing_is_done_by_default() -> None:
    """A recipe that asks for no augmentation gets the window as it is."""
    rng = np.random.default_rng(1)

    np.testing.assert_array_equal(augment.distort(FRAMES, Augment(), rng), FRAMES)
    np.testing.assert_array_equal(augment.mask(FRAMES, Augment(), rng), FRAMES)


def test_tilt_turns_around_the_middle_band() -> None:
    """A tilted window is louder at one end of the spectrum by what it is quieter at the other."""
    tilted = augment.distort(FRAMES, Augment(tilt_db=6), np.random.default_rng(1)) - FRAMES

    assert tilted[0, 0] == pytest.approx(-tilted[0, -1], abs=1e-4)
    assert 0 < abs(tilted[0, 0]) <= 3


def test_masks_are_no_wider_than_asked() -> None:
    """At most so many frames and bands are set to the window's mean."""
    chosen = Augment(time_masks=2, time_mask_frames=10, mel_masks=1, mel_mask_bands=6)
    rng = np.random.default_rng(1)

    for _ in range(50):
        masked = augment.mask(np.ones((147, 64), np.float32), chosen, rng) == 0
        assert masked.all(axis=1).sum() <= 20
        assert masked.all(axis=0).sum() <= 6


def test_mixup_blends_windows_and_truth_alike() -> None:
    """A blend of two windows has the same blend of their truths, and more of the first than of the second."""
    windows = np.arange(8, dtype=np.float32)[:, None, None, None] * np.ones((1, 5, 4, 1), np.float32)

    blended, truth = augment.mixup(windows, np.eye(8, dtype=np.float32), 0.3, np.random.default_rng(1))

    np.testing.assert_allclose(truth.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(blended[:, 0, 0, 0], truth @ np.arange(8), rtol=1e-5)
    assert (truth.diagonal() >= 0.5).all()
