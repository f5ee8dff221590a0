"""Weights are rounded to few values."""

import numpy as np

from training import rounding

RNG = np.random.default_rng(1)


def test_rounded_weights_are_the_nearest() -> None:
    """Each is a multiple of a seventh of the largest of its filter, at most half a step away; zeros stay."""
    kernel = RNG.normal(size=(1, 1, 40, 8)).astype(np.float32)
    kernel[..., 3] = 0

    found = rounding.rounded(kernel, 7).numpy()

    steps = np.abs(kernel).max(axis=(0, 1, 2)) / 7
    assert (found[..., 3] == 0).all()
    assert (np.abs(found - kernel) <= steps / 2 + 1e-6).all()
    assert max(len(np.unique(found[..., number])) for number in range(8)) <= 15
