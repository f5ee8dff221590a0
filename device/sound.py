"""What every source of sound yields, and facts about its level."""

from typing import NamedTuple, Protocol

import numpy as np

from models.frontend import Samples

SAMPLE_RATE_HZ = 16_000
FLOOR_DBFS = -120.0
"""Level of digital silence: a floor, so that it is never mistaken for full scale."""


class Block(NamedTuple):
    """Some mono samples at 16 kHz."""

    samples: Samples
    end_ms: int
    """Time of the end of its last sample, by `clock.monotonic_ms`."""


class Source(Protocol):
    """Where sound comes from."""

    @property
    def name(self) -> str:
        """What is listened to, for people."""

    @property
    def dropped_blocks(self) -> int:
        """Blocks that were lost because nobody took them in time."""

    def read(self) -> Block | None:
        """Wait for the next block and return it; None when there will be no more."""

    def close(self) -> None:
        """Stop; a waiting `read` returns None."""


class SourceError(Exception):
    """A source cannot be opened; the text names it and says what would be right."""


def level_dbfs(samples: Samples) -> float:
    """Return the RMS level in dB relative to a full-scale square wave, at least -120."""
    if len(samples) == 0:
        return FLOOR_DBFS
    mean_square = float(np.mean(np.square(samples, dtype=np.float64))) / 32_768**2
    return max(FLOOR_DBFS, 10 * float(np.log10(mean_square))) if mean_square > 0 else FLOOR_DBFS


def clipped(samples: Samples) -> int:
    """Return how many samples are at full scale."""
    return int(np.count_nonzero((samples == 32_767) | (samples == -32_768)))
