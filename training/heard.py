"""What published systems hear: their features, and the altered copies of recordings that they make.

No device computes these. librosa is imported late, since it takes a second and no recipe of ours needs it.
"""

import itertools
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import soxr
from msgspec import Meta
from numpy.typing import NDArray

from models.frontend import SAMPLE_RATE_HZ, Samples

Positive = Annotated[int, Meta(ge=1)]
Values = NDArray[np.float32]
Rendering = Literal["noise", "stretch-pitch"]
"""Altered copies: white noise; slowed down to 0.8, then pitched up by 0.7 semitones."""

NOISE = 0.035
"""Of the loudest sample, the largest level of noise."""
STRETCH, SEMITONES = 0.8, 0.7


class _Heard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", dict=True):
    """One row of the registry; its tag is the name in a recipe."""

    rate_hz: Positive = 22_050
    """Recordings are resampled to it."""

    def load(self, samples: Samples) -> Values:
        """Return samples of a device's rate at this one, -1 to 1."""
        resampled: Values = soxr.resample(samples.astype(np.float32) / 32_768, SAMPLE_RATE_HZ, self.rate_hz)
        return resampled


class Averages(_Heard, frozen=True, kw_only=True, tag="averages"):
    """162 averages over time: zero crossings, 12 chroma, 20 MFCC, RMS, 128 mel bands."""

    offset_s: float = 0.6
    duration_s: float = 2.5

    title = "162 averages"
    shape = (162,)
    standardised = True

    def of(self, samples: Values) -> Values:
        """Return the averages of a recording, shape (162,)."""
        import librosa  # noqa: PLC0415

        start = int(self.offset_s * self.rate_hz)
        part = samples[start : start + int(self.duration_s * self.rate_hz)]
        if len(part) < 2048:
            part = samples
        spectrum = np.abs(librosa.stft(part))
        mel = librosa.feature.melspectrogram(S=spectrum**2, sr=self.rate_hz)
        rows = (
            librosa.feature.zero_crossing_rate(part),
            librosa.feature.chroma_stft(S=spectrum, sr=self.rate_hz),
            librosa.feature.mfcc(S=librosa.power_to_db(mel), sr=self.rate_hz, n_mfcc=20),
            librosa.feature.rms(y=part),
            mel,
        )
        values: Values = np.concatenate([row.mean(axis=1) for row in rows]).astype(np.float32)
        return values


class Mfcc(_Heard, frozen=True, kw_only=True, tag="mfcc"):
    """MFCC of each frame of 23 ms, the recording cut or padded with its last frame."""

    coefficients: Positive = 40
    frames: Positive = 128
    standardised: bool = True

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.coefficients} MFCC of {self.frames} frames"

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames and coefficients."""
        return self.frames, self.coefficients

    def of(self, samples: Values) -> Values:
        """Return the coefficients of a recording, shape (frames, coefficients)."""
        import librosa  # noqa: PLC0415

        return _cut(librosa.feature.mfcc(y=samples, sr=self.rate_hz, n_mfcc=self.coefficients), self.frames).T


class Spectra(_Heard, frozen=True, kw_only=True, tag="three-spectra"):
    """Three channels: power spectrogram, mel filter bank and mel spectrogram in dB, of the recording without silence.

    As published the channels have hops of 255 and 512 samples, so they cover 1.04 s and 2.09 s, and nothing is
    normalised.
    """

    bands: Positive = 512
    frames: Positive = 90
    trim_db: float = 30.0

    title = "spectrogram, mel filter bank, mel spectrogram"
    standardised = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Bands, frames and channels."""
        return self.bands, self.frames, 3

    @cached_property
    def _filters(self) -> Any:
        import librosa  # noqa: PLC0415

        bins = 2 * self.bands - 1
        return librosa.filters.mel(sr=self.rate_hz, n_fft=bins, n_mels=self.bands, fmax=8_000)

    def of(self, samples: Values) -> Values:
        """Return the channels of a recording, shape (bands, frames, 3)."""
        import librosa  # noqa: PLC0415

        heard, _ = librosa.effects.trim(samples, top_db=self.trim_db)
        n_fft = 2 * self.bands - 1
        power = np.abs(librosa.stft(heard, n_fft=n_fft)) ** 2
        coarse = np.abs(librosa.stft(heard, n_fft=n_fft, hop_length=512)) ** 2
        mel = self._filters @ coarse
        channels = (power, mel, librosa.power_to_db(mel))
        return np.stack([_cut(channel, self.frames) for channel in channels], axis=-1).astype(np.float32)


class Picture(_Heard, frozen=True, kw_only=True, tag="picture"):
    """A spectrogram in dB below its maximum on a logarithmic axis of frequency, three equal channels, 0 to 1."""

    rows: Positive = 64
    frames: Positive = 118
    range_db: float = 80.0

    title = "spectrogram as a picture"
    standardised = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, frames and channels."""
        return self.rows, self.frames, 1

    def of(self, samples: Values) -> Values:
        """Return the picture of a recording, shape (rows, frames, 1)."""
        import librosa  # noqa: PLC0415

        power = np.abs(librosa.stft(samples)) ** 2
        edges = np.rint(np.geomspace(3, len(power) - 1, self.rows + 1)).astype(int)
        bands = np.stack([power[low : max(low + 1, high)].mean(axis=0) for low, high in itertools.pairwise(edges)])
        picture = 1 + librosa.power_to_db(bands, ref=np.max, top_db=self.range_db) / self.range_db
        return _cut(picture, self.frames)[..., None].astype(np.float32)


Features = Averages | Mfcc | Spectra | Picture


def _cut(rows: Values, frames: int) -> Values:
    """Return the first frames, the last one repeated where there are fewer, shape (rows, frames)."""
    missing = frames - rows.shape[1]
    return np.pad(rows, ((0, 0), (0, missing)), "edge") if missing > 0 else rows[:, :frames]


def rendered(samples: Values, kind: str, rate_hz: int, rng: np.random.Generator) -> Values:
    """Return an altered copy of a recording.

    Args:
        samples: -1 to 1.
        kind: a `Rendering`.
        rate_hz: of the samples.
        rng: random generator.
    """
    import librosa  # noqa: PLC0415

    if kind == "noise":
        level = NOISE * rng.uniform() * np.abs(samples).max()
        noisy: Values = samples + level * rng.normal(size=len(samples)).astype(np.float32)
        return noisy
    slow = librosa.effects.time_stretch(samples, rate=STRETCH)
    pitched: Values = librosa.effects.pitch_shift(slow, sr=rate_hz, n_steps=SEMITONES)
    return pitched
