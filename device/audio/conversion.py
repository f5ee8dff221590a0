"""Conversion of what a sound card delivers to 16 kHz mono."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from common.channels import MOST
from device.audio.source import SAMPLE_RATE_HZ
from models.frontend import Samples

COMMON_RATES_HZ = (48_000, 44_100, 32_000)

RawSamples = NDArray[np.int16]
"""Samples as the card delivers them, shape (samples, channels)."""


class CaptureFormat(NamedTuple):
    """What a card is asked to deliver, in int16."""

    rate_hz: int
    channels: int

    def describe(self, channel: int | None) -> str:
        """Describe the format, and what is done to reach 16 kHz mono with one channel, or with the mean (None)."""
        chosen = "mixed to mono by their mean" if channel is None else f"channel {channel} heard"
        mixed = [] if self.channels == 1 else [chosen]
        resampled = [] if self.rate_hz == SAMPLE_RATE_HZ else [f"resampled to {SAMPLE_RATE_HZ} Hz"]
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        return ", ".join([f"{self.rate_hz} Hz, {channels}, int16", *mixed, *resampled])


def choose_format(
    native_hz: int, max_channels: int, channel: int | None, is_supported: Callable[[CaptureFormat], bool]
) -> CaptureFormat | None:
    """Return the supported format that needs the least conversion; None if none is supported.

    Tries 16 kHz first, then the card's native and other common rates; at each rate few channels first. For the mean
    one channel will do. For one channel of several, at least two are asked for: sound servers mix them to deliver one.

    Args:
        native_hz: Sample rate of the card.
        max_channels: Its number of channels.
        channel: Number of the wanted one, from 1 to `max_channels`; None for the mean.
        is_supported: Whether the card can deliver a format.
    """
    few = (1, 2) if channel is None else (max(2, channel),)
    most = min(max_channels, MOST)  # a plugin of ALSA may claim thousands
    counts = dict.fromkeys(min(count, most) for count in (*few, most))
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
