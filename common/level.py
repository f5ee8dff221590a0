"""Level of sound in dB relative to full scale (dBFS)."""

import math

FLOOR_DBFS = -120.0
"""Level of digital silence, whose logarithm would be minus infinity."""


def to_dbfs(power: float) -> float:
    """Return a mean power, 0 to 1 (a full-scale square wave), as a level, -120 to 0 dBFS."""
    return max(FLOOR_DBFS, 10 * math.log10(power)) if power > 0 else FLOOR_DBFS
