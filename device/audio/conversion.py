"""From what a card delivers to 16 kHz mono: which rate and channels to ask of it, and the conversion."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from device.audio.source import SAMPLE_RATE_HZ
from models.frontend import Samples

COMMON_RATES_HZ = (48_000, 44_100, 32_000)

Captured = NDArray[np.int16]
"""As the card delivers it, shape (samples, channels)."""


class CaptureFormat(NamedTuple):
    """How a microphone is listened to."""

    rate_hz: int
    channels: int

    def __str__(self) -> str:
        """Describe the way from card to pipeline in one line."""
        mixed = [] if self.channels == 1 else ["mixed to mono by their mean"]
        resampled = [] if self.rate_hz == SAMPLE_RATE_HZ else [f"resampled to {SAMPLE_RATE_HZ} Hz"]
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        return ", ".join([f"{self.rate_hz} Hz, {channels}, int16", *mixed, *resampled])


def probe(native_hz: int, channels: int, takes: Callable[[CaptureFormat], bool]) -> CaptureFormat | None:
    """Return the first way that a card takes: 16 kHz mono, then more channels, then its own and other common rates."""
    counts = [count for count in dict.fromkeys((1, 2, channels)) if count <= channels]
    for rate_hz in dict.fromkeys((SAMPLE_RATE_HZ, native_hz, *COMMON_RATES_HZ)):
        for count in counts:
            if takes(CaptureFormat(rate_hz, count)):
                return CaptureFormat(rate_hz, count)
    return None


class Converter:
    """Brings mono sound without gaps to 16 kHz, in blocks of any size."""

    def __init__(self, rate_hz: int) -> None:
        self._resampler = (
            None if rate_hz == SAMPLE_RATE_HZ else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="int16")
        )

    def push(self, samples: Samples) -> Samples:
        """Take the next mono samples and return what they complete at 16 kHz."""
        if self._resampler is None:
            return samples
        resampled: Samples = self._resampler.resample_chunk(samples)
        return resampled

    @property
    def held_back_ms(self) -> float:
        """How much sound went in that has not come out yet."""
        return 0.0 if self._resampler is None else self._resampler.delay() * 1000 / SAMPLE_RATE_HZ


def mono(captured: Captured) -> Samples:
    """Return the mean of the channels.

    The mean, not one of them: many stereo cards carry their one capsule on either side only, and one that has it on
    both is heard as it is.
    """
    if captured.shape[1] == 1:
        return captured[:, 0]
    mixed: Samples = np.rint(captured.mean(axis=1)).astype(np.int16)
    return mixed
