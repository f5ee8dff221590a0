"""Level of sound, in dB relative to full scale (dBFS)."""

import numpy as np
from numpy.typing import NDArray

from models.frontend import Samples

FLOOR_DBFS = -120.0
"""Level of digital silence: a floor, so that it is never mistaken for full scale."""


def level_dbfs(samples: Samples) -> float:
    """Return the RMS level in dB relative to a full-scale square wave, at least -120."""
    return to_dbfs(float(mean_power(samples))) if len(samples) else FLOOR_DBFS


def mean_power(samples: Samples) -> NDArray[np.float64]:
    """Return the mean square of the last axis relative to full scale, 0 to 1."""
    scaled = samples.astype(np.float32) / np.float32(32_768)
    means: NDArray[np.float64] = np.einsum("...i,...i->...", scaled, scaled).astype(np.float64) / samples.shape[-1]
    return means


def to_dbfs(power: float) -> float:
    """Return a mean square relative to full scale in dB, at least -120."""
    return max(FLOOR_DBFS, 10 * float(np.log10(power))) if power > 0 else FLOOR_DBFS


def count_clipped(samples: Samples) -> int:
    """Return how many samples are at full scale."""
    return int(np.count_nonzero((samples == 32_767) | (samples == -32_768)))
