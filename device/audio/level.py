"""Level of sound, in dB relative to full scale (dBFS)."""

import numpy as np
from numpy.typing import NDArray

from common.level import FLOOR_DBFS, to_dbfs
from models.frontend import Samples


def level_dbfs(samples: Samples) -> float:
    """Return the RMS level relative to a full-scale square wave, without a constant offset, -120 to 0 dBFS."""
    return to_dbfs(float(mean_power(samples))) if len(samples) else FLOOR_DBFS


def mean_power(samples: Samples) -> NDArray[np.float64]:
    """Return the mean square of int16 samples about their mean along the last axis, 0 to 1 (full scale).

    The mean is a fault of cheap sound cards (DC offset), and no sound.
    """
    scaled = samples.astype(np.float32) / np.float32(32_768)
    scaled -= scaled.mean(axis=-1, keepdims=True)
    means: NDArray[np.float64] = np.einsum("...i,...i->...", scaled, scaled).astype(np.float64) / samples.shape[-1]
    return means


def count_clipped(samples: Samples) -> int:
    """Return how many int16 samples are at full scale."""
    return int(np.count_nonzero((samples == 32_767) | (samples == -32_768)))
