"""Front end: audio to log-mel features, the same for training, tests and device."""

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
"""Percentile of a window's values that counts as its loudness."""
RANGE_DB = 50.0
"""What lies further below a window's loudness is cut off."""
BLOCK_FRAMES = 30
"""Frames computed at a time, in the same memory, so that intermediate results fit into the processor's cache."""
BLOCK_FILTERS = 16
"""Neighbouring mel filters summed at a time, over the bins in which any of them has a weight."""


class FrontEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Log-mel spectrogram: Hann window, power spectrum, Slaney mel bands, decibel.

    Frames lie wholly inside the samples (librosa's `center=False`), so that overlapping windows share their frames, up
    to rounding. Computed in float64, the logarithm in float32. A test checks that the result equals
    `librosa.feature.melspectrogram(..., center=False)` to 1e-4 dB.
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
    """Least mel energy, so that digital silence is -100 dB."""

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
        return (0.5 - 0.5 * np.cos(phase)) / 32_768  # periodic Hann, which also scales int16 to [-1, 1)

    @cached_property
    def _bands(self) -> "_Bands":
        return _Bands(mel_filters(self.sample_rate_hz, self.n_fft, self.n_mels, self.f_min_hz, self.f_max_hz))

    def frames_in(self, samples: int) -> int:
        """Return the number of whole frames in this number of samples."""
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

    Nearly all weights are zero. One product with all of them would have four times the additions, enough for OpenBLAS
    to start a thread on each core, which takes longer than the additions.
    """

    def __init__(self, filters: NDArray[np.float64]) -> None:
        blocks = [slice(first, first + BLOCK_FILTERS) for first in range(0, len(filters), BLOCK_FILTERS)]
        self._blocks = [(block, *_nonzero(filters[block])) for block in blocks]

    def sum(self, spectra: NDArray[np.complex128], energy: NDArray[np.float64]) -> None:
        """Write the energy in each filter, shape (frames, filters); spectra, shape (frames, bins), are overwritten."""
        squares = spectra.view(np.float64)  # real and imaginary parts side by side
        np.square(squares, out=squares)
        for block, parts, weights in self._blocks:
            np.matmul(squares[:, parts], weights, out=energy[:, block])


def _nonzero(filters: NDArray[np.float64]) -> tuple[slice, NDArray[np.float64]]:
    """Return the parts of a spectrum, two a bin, where some filters have weights, and these, shape (parts, filters)."""
    bins = np.flatnonzero(filters.any(axis=0))  # none for filters so narrow that they lie between two bins
    first, end = (bins[0], bins[-1] + 1) if len(bins) else (0, 0)
    return slice(2 * first, 2 * end), np.repeat(filters[:, first:end].T, 2, axis=0)


class LogMelStream:
    """Computes each frame once, as samples arrive in blocks of any size."""

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
    """Return one window's frames relative to its loudness: 1 is as loud, 0 is `RANGE_DB` or more below.

    This hides from the model the gain of the microphone, and what is quiet in the pauses. A window without variation
    (digital silence) gives zeros.
    """
    loud = _percentile(frames, LOUD_PERCENTILE)
    if loud == frames.min():
        return np.zeros_like(frames)
    relative: Frames = np.maximum(0.0, (frames - loud) / RANGE_DB + 1).astype(np.float32)
    return relative


def _percentile(values: Frames, percent: float) -> float:
    """Return a percentile, interpolated between two ranks as by `np.percentile`, in a fifth of its time."""
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
