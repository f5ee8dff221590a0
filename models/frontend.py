"""Audio to log-mel features: the one front end that training, tests and device share."""

from functools import cached_property
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

Samples = NDArray[np.int16]
"""Mono PCM, shape (n,)."""
Frames = NDArray[np.float32]
"""Log-mel energies in dB, shape (frames, n_mels)."""

SAMPLE_RATE_HZ = 16_000
"""The rate at which every device hears."""
LOUD_PERCENTILE = 99.0
"""A window is as loud as all but one of a hundred of its values."""
RANGE_DB = 50.0
"""How far below its loud part a window is heard."""
BLOCK_FRAMES = 30
"""So many frames are computed at a time, in the same memory: what comes up on the way then fits into a processor's
cache."""
BLOCK_FILTERS = 16
"""So many neighbouring mel filters are summed at a time, over the bins that one of them hears."""


class FrontEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Log-mel spectrogram: Hann window, power spectrum, Slaney mel bands, decibel.

    Frames lie wholly inside the samples (librosa's `center=False`), so that a frame does not depend on which window
    it is seen through, but for rounding: overlapping windows share their frames. Computed in float64, the logarithm in
    float32; equal to `librosa.feature.melspectrogram(..., center=False)` to 1e-4 dB, which a test checks.
    """

    sample_rate_hz: int = SAMPLE_RATE_HZ
    n_fft: Annotated[int, Meta(ge=64, le=8_192)] = 1024
    """Samples per frame, and length of the Hann window."""
    hop_length: Annotated[int, Meta(ge=16, le=8_192)] = 320
    """Samples from frame to frame."""
    n_mels: Annotated[int, Meta(ge=1, le=256)] = 64
    f_min_hz: float = 50.0
    f_max_hz: float = 7_600.0
    floor: Annotated[float, Meta(gt=0, le=1)] = 1e-10
    """Smallest mel energy, so that digital silence is -100 dB."""

    def __post_init__(self) -> None:
        """Check what bounds of single fields cannot.

        Raises:
            ValueError: no device hears at this rate, or there are no mel bands between the two frequencies.
        """
        if self.sample_rate_hz != SAMPLE_RATE_HZ:
            raise ValueError(f"sample_rate_hz is {self.sample_rate_hz}; set {SAMPLE_RATE_HZ}, at which devices hear")
        if not 0 <= self.f_min_hz < self.f_max_hz <= SAMPLE_RATE_HZ / 2:
            raise ValueError(
                f"f_min_hz is {self.f_min_hz:g} and f_max_hz {self.f_max_hz:g}; "
                f"set 0 <= f_min_hz < f_max_hz <= {SAMPLE_RATE_HZ // 2}"
            )

    @cached_property
    def _window(self) -> NDArray[np.float64]:
        phase = 2 * np.pi * np.arange(self.n_fft) / self.n_fft
        return (0.5 - 0.5 * np.cos(phase)) / 32_768  # periodic Hann; scales int16 to [-1, 1) on the way

    @cached_property
    def _bands(self) -> "_Bands":
        return _Bands(mel_filters(self.sample_rate_hz, self.n_fft, self.n_mels, self.f_min_hz, self.f_max_hz))

    def frames_in(self, samples: int) -> int:
        """Return how many whole frames lie in so many samples."""
        return max(0, 1 + (samples - self.n_fft) // self.hop_length)

    def log_mel(self, samples: Samples) -> Frames:
        """Return the log-mel frames of int16 samples, shape (frames_in(n), n_mels), dB, float32."""
        count = self.frames_in(len(samples))
        if count == 0:
            return np.empty((0, self.n_mels), np.float32)
        view = np.lib.stride_tricks.sliding_window_view(samples, self.n_fft)[:: self.hop_length]
        energy = np.empty((count, self.n_mels))
        frames = np.empty((min(count, BLOCK_FRAMES), self.n_fft))
        spectra = np.empty((len(frames), self.n_fft // 2 + 1), np.complex128)
        for first in range(0, count, BLOCK_FRAMES):
            block = slice(min(BLOCK_FRAMES, count - first))
            np.multiply(view[first:][block], self._window, out=frames[block])
            np.fft.rfft(frames[block], out=spectra[block])
            self._bands.sum(spectra[block], energy[first:][block])
        decibel: Frames = np.log(np.maximum(energy, self.floor).astype(np.float32)) * np.float32(10 / np.log(10))
        return decibel


class _Bands:
    """Mel filters as small matrix products.

    Nearly all weights are zero. One product with all of them would be four times the sums, and enough of them for
    OpenBLAS to wake a thread on each core, which takes longer than the sums.
    """

    def __init__(self, filters: NDArray[np.float64]) -> None:
        blocks = [slice(first, first + BLOCK_FILTERS) for first in range(0, len(filters), BLOCK_FILTERS)]
        self._blocks = [(block, *_heard(filters[block])) for block in blocks]

    def sum(self, spectra: NDArray[np.complex128], energy: NDArray[np.float64]) -> None:
        """Write the energy in each filter, shape (frames, filters); spectra, shape (frames, bins), are overwritten."""
        squares = spectra.view(np.float64)  # real and imaginary parts side by side
        np.square(squares, out=squares)
        for block, heard, weights in self._blocks:
            np.matmul(squares[:, heard], weights, out=energy[:, block])


def _heard(filters: NDArray[np.float64]) -> tuple[slice, NDArray[np.float64]]:
    """Return which numbers of a spectrum some filters hear, two a bin, and the weights, shape (heard, filters)."""
    bins = np.flatnonzero(filters.any(axis=0))  # none, if the filters are so narrow that they lie between two bins
    first, end = (bins[0], bins[-1] + 1) if len(bins) else (0, 0)
    return slice(2 * first, 2 * end), np.repeat(filters[:, first:end].T, 2, axis=0)


class LogMelStream:
    """The same frames, computed once as samples arrive in blocks of any size."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end
        self._pending: Samples = np.empty(0, np.int16)

    def push(self, samples: Samples) -> Frames:
        """Take the next samples and return the frames that they complete, shape (frames, n_mels)."""
        pending = np.concatenate((self._pending, samples))
        frames = self._front_end.log_mel(pending)
        self._pending = pending[len(frames) * self._front_end.hop_length :]
        return frames


def normalise(frames: Frames) -> Frames:
    """Return one window's frames relative to its own loud part: 0 is `RANGE_DB` or more below it, 1 is as loud.

    So the model hears neither how loud the microphone is set nor what lies in the pauses, as long as that is quiet. A
    window without any variation (digital silence) gives zeros.
    """
    loud = _percentile(frames, LOUD_PERCENTILE)
    if loud == frames.min():
        return np.zeros_like(frames)
    relative: Frames = np.maximum(0.0, (frames - loud) / RANGE_DB + 1).astype(np.float32)
    return relative


def _percentile(values: Frames, percent: float) -> float:
    """Return a percentile as `np.percentile` does, in a fifth of its time: interpolated between two ranks."""
    rank = percent / 100 * (values.size - 1)
    below = min(int(rank), values.size - 2)
    ordered = np.partition(values, below, axis=None)
    low, high = float(ordered[below]), float(ordered[below + 1 :].min())
    return low + (high - low) * (rank - below)


def mel_filters(sample_rate_hz: int, n_fft: int, n_mels: int, f_min_hz: float, f_max_hz: float) -> NDArray[np.float64]:
    """Return triangular mel filters of equal area, shape (n_mels, n_fft // 2 + 1).

    The mel scale and the normalisation are those of Slaney's Auditory Toolbox (Interval Technical Report 1998-010):
    linear to 1 kHz, 27 steps for each factor of 6.4 above. librosa's default is the same.
    """
    edges_hz = _mel_to_hz(np.linspace(_hz_to_mel(f_min_hz), _hz_to_mel(f_max_hz), n_mels + 2))
    bins_hz = np.arange(n_fft // 2 + 1) * sample_rate_hz / n_fft
    low, centre, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return triangles * (2.0 / (high - low))


_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_LOG_START_HZ = 1_000.0
_LOG_START_MEL = _LOG_START_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_START_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return float(_LOG_START_MEL + np.log(hz / _LOG_START_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mel * _LINEAR_HZ_PER_MEL
    logarithmic = _LOG_START_HZ * np.exp(_LOG_STEP * (mel - _LOG_START_MEL))
    return np.where(mel < _LOG_START_MEL, linear, logarithmic)
