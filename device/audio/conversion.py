"""Conversion of what a sound card delivers to 16 kHz mono."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from device.audio.source import SAMPLE_RATE_HZ
from models.frontend import Samples

COMMON_RATES_HZ = (48_000, 44_100, 32_000)

RawSamples = NDArray[np.int16]
"""Samples as the card delivers them, shape (samples, channels)."""


class CaptureFormat(NamedTuple):
    """What a card is asked to deliver, in int16."""

    rate_hz: int
    channels: int

    def __str__(self) -> str:
        """Describe the format, and what is done to reach 16 kHz mono."""
        mixed = [] if self.channels == 1 else ["mixed to mono by their mean"]
        resampled = [] if self.rate_hz == SAMPLE_RATE_HZ else [f"resampled to {SAMPLE_RATE_HZ} Hz"]
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        return ", ".join([f"{self.rate_hz} Hz, {channels}, int16", *mixed, *resampled])


def choose_format(
    native_hz: int, max_channels: int, is_supported: Callable[[CaptureFormat], bool]
) -> CaptureFormat | None:
    """Return the supported format that needs the least conversion; None if none is supported.

    Tries 16 kHz mono first, then more channels, then the card's native and other common rates.
    """
    counts = [count for count in dict.fromkeys((1, 2, max_channels)) if count <= max_channels]
    for rate_hz in dict.fromkeys((SAMPLE_RATE_HZ, native_hz, *COMMON_RATES_HZ)):
        for count in counts:
            candidate = CaptureFormat(rate_hz, count)
            if is_supported(candidate):
                return candidate
    return None


class Resampler:
    """Resamples gapless mono sound to 16 kHz, in blocks of any size."""

    def __init__(self, rate_hz: int) -> None:
        self._stream = (
            None if rate_hz == SAMPLE_RATE_HZ else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="int16")
        )

    def push(self, samples: Samples) -> Samples:
        """Append mono samples and return those that are complete at 16 kHz, possibly none."""
        if self._stream is None:
            return samples
        resampled: Samples = self._stream.resample_chunk(samples)
        return resampled

    @property
    def delay_ms(self) -> float:
        """How much of the sound that went in has not come out yet."""
        return 0.0 if self._stream is None else self._stream.delay() * 1000 / SAMPLE_RATE_HZ


def mix_to_mono(raw: RawSamples) -> Samples:
    """Return the mean of the channels, shape (samples,).

    The mean, not one of them: many stereo cards have their one capsule on either side only.
    """
    if raw.shape[1] == 1:
        return raw[:, 0]
    mixed: Samples = np.rint(raw.mean(axis=1)).astype(np.int16)
    return mixed
