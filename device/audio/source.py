"""What every source of sound yields, and facts about its level."""

from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models.frontend import Samples

SAMPLE_RATE_HZ = 16_000
FLOOR_DBFS = -120.0
"""Level of digital silence: a floor, so that it is never mistaken for full scale."""

Capture = Literal["ok", "zeros", "flat", "stalled", "missing"]
"""Whether sound comes in; else what is wrong: exact zeros, one value all the time, a device that is there but delivers
nothing, or no device."""


class Block(NamedTuple):
    """Some mono samples at 16 kHz."""

    samples: Samples
    end_ms: int
    """Time of the end of its last sample, by `clock.monotonic_ms`."""
    after_gap: bool = False
    """Whether sound is missing between the block before and this one."""


class Source(Protocol):
    """Where sound comes from."""

    @property
    def name(self) -> str:
        """What is listened to, for people."""

    @property
    def id(self) -> str:
        """What to ask for to get this very one again."""

    @property
    def dropped_blocks(self) -> int:
        """Blocks that were lost because nobody took them in time."""

    @property
    def capture(self) -> Capture:
        """Whether sound comes in."""

    @property
    def reopened(self) -> int:
        """How often the device had to be opened again."""

    def read(self) -> Block | None:
        """Wait for the next block and return it; None when there will be no more.

        Raises:
            SourceError: no more sound can come until the process starts again.
        """

    def close(self) -> None:
        """Stop; a waiting `read` returns None."""


class SourceError(Exception):
    """A source cannot be opened; the text names it and says what would be right."""


def level_dbfs(samples: Samples) -> float:
    """Return the RMS level in dB relative to a full-scale square wave, at least -120."""
    return decibel(float(powers(samples))) if len(samples) else FLOOR_DBFS


def powers(samples: Samples) -> NDArray[np.float64]:
    """Return the mean square of the last axis relative to full scale, 0 to 1."""
    scaled = samples.astype(np.float32) / np.float32(32_768)
    means: NDArray[np.float64] = np.einsum("...i,...i->...", scaled, scaled).astype(np.float64) / samples.shape[-1]
    return means


def decibel(power: float) -> float:
    """Return a mean square relative to full scale in dB, at least -120."""
    return max(FLOOR_DBFS, 10 * float(np.log10(power))) if power > 0 else FLOOR_DBFS


def clipped(samples: Samples) -> int:
    """Return how many samples are at full scale."""
    return int(np.count_nonzero((samples == 32_767) | (samples == -32_768)))
