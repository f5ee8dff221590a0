"""Augmentation: training windows as other voices, rooms and microphones would make them. Training windows only."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.recipe import Augment

Windows = NDArray[np.float32]
"""Shape (windows, frames, mels)."""
Padding = NDArray[np.bool_]
"""Which frames lie before or after the clip, wholly or in part, shape (windows, frames)."""
STYLE_BETA = 0.3
"""Parameter of the beta distribution of the share of another clip's style: mostly little or nearly all."""
STYLE_RANGE_DB = 70.0
"""Style is computed down to this far below the clip's loudest value; what is quieter holds no voice."""
FLOOR_QUANTILE = 0.1
"""Quantile over a clip's frames that tells the power of its background in a band (Stahl et al., ICASSP 2000)."""
OVERSUBTRACTION = 2.0
"""Times the background's mean power that is subtracted (Berouti et al. 1979)."""
RESIDUE_DB = -90.0
"""What is left where nothing stood above the background."""
LOW_CUT, HIGH_CUT = (0.0, 0.12), (0.62, 1.0)
"""Edges of a simulated microphone's band as shares of the mel bands: 50 to 450 Hz, 2 to 7.6 kHz."""
CUT_DB = (1.0, 12.0)
"""By how much each band beyond an edge is softer than its neighbour."""


class Hiss(NamedTuple):
    """White noise through the front end: power relative to each band's mean."""

    power: NDArray[np.float32]
    """Shape (frames, mels)."""
    low: NDArray[np.float32]
    """Its `FLOOR_QUANTILE` in each band, shape (mels,)."""


class Noise(NamedTuple):
    """The steady noise of some windows."""

    power: NDArray[np.float64]
    """Mean over all bands, shape (windows,)."""
    colour_db: NDArray[np.float64]
    """The bands relative to each other, shape (windows, mels)."""
    flicker: NDArray[np.float64]
    """How much it varies from frame to frame: 1 for noise, 0 for tones, shape (windows,)."""


def distort(windows: Windows, padding: Padding, augment: Augment, hiss: Hiss, rng: np.random.Generator) -> Windows:
    """Return windows, dB, with style, noise and tilt of other recordings.

    Args:
        windows: clips with digital silence before and after them, dB.
        padding: where that silence is.
        augment: the recipe's settings.
        hiss: of which the noise is made.
        rng: random generator.
    """
    count, mels = len(windows), int(windows.shape[2])
    bands = np.linspace(-0.5, 0.5, mels)
    if augment.floor_share:
        windows = np.where(
            (rng.random(count) < augment.floor_share)[:, None, None], without_floor(windows, padding, hiss), windows
        )
    if augment.style_share:
        windows = restyle(windows, padding, augment.style_share, rng)
    noisy = rng.random(count) < augment.background_share
    noisy_frames = padding | (rng.random(count) < augment.under_share)[:, None]
    power = _to_power(windows)
    spectrum = (power * ~padding[..., None]).sum(axis=1) / np.maximum(1, (~padding).sum(axis=1))[:, None]
    noise = Noise(
        power=noisy * spectrum.mean(axis=1) / 10 ** (rng.uniform(*augment.snr_db, count) / 10),
        colour_db=rng.uniform(*augment.slope_db, count)[:, None] * bands,
        flicker=np.ones(count),
    )
    if augment.shaped_share:
        _shape(noise, spectrum, augment.shaped_share, rng)
    power += steady_noise(noise, hiss, windows.shape[1], rng) * noisy_frames[..., None]
    response_db = rng.uniform(-augment.tilt_db, augment.tilt_db, count)[:, None] * bands
    if augment.cut_share:
        response_db = response_db + cuts_db(count, mels, rng) * (rng.random(count) < augment.cut_share)[:, None]
    heard: Windows = _to_db(power) + response_db[:, None].astype(np.float32)
    return heard


def without_floor(windows: Windows, padding: Padding, hiss: Hiss) -> Windows:
    """Return windows, dB, without the steady background that their clips were recorded with.

    All clips of a studio have the same background, so its distance to the voice tells how loudly somebody spoke. The
    background of a band is a low quantile over the clip's frames; twice its power is subtracted.

    Args:
        windows: clips with digital silence before and after them, dB.
        padding: where that silence is.
        hiss: tells how far below its mean the quantile of a steady noise lies.
    """
    ascending = np.sort(np.where(padding[..., None], np.float32(np.inf), windows), axis=1)
    ranks = (FLOOR_QUANTILE * ((~padding).sum(axis=1) - 1)).clip(0).astype(np.intp)
    floor = _to_power(ascending[np.arange(len(windows)), ranks]) / hiss.low
    power = _to_power(windows) - OVERSUBTRACTION * floor[:, None].astype(np.float32)
    return _to_db(np.maximum(power, np.float32(10 ** (RESIDUE_DB / 10))))


def cuts_db(count: int, mels: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return responses of microphones and lines that pass only a band, dB, shape (count, mels)."""
    band = np.arange(mels)
    below = rng.uniform(*LOW_CUT, (count, 1)) * mels - band
    above = band - rng.uniform(*HIGH_CUT, (count, 1)) * mels
    slopes = rng.uniform(*CUT_DB, (2, count, 1))
    response: NDArray[np.float64] = -np.maximum(below, 0) * slopes[0] - np.maximum(above, 0) * slopes[1]
    return response


def restyle(windows: Windows, padding: Padding, share: float, rng: np.random.Generator) -> Windows:
    """Return windows of which this share has some of the style of another one of the batch, at the same loudness.

    A clip's style is the mean and the deviation of each band over its frames: mostly the voice, the room and the
    microphone (Zhou et al. 2021, Domain generalization with MixStyle; by band as in Schmid et al. 2022, DCASE).
    """
    inside = ~padding
    weights = (inside / np.maximum(1, inside.sum(axis=1, keepdims=True))).astype(np.float32)[:, None]
    clip = np.maximum(windows, windows.max(axis=(1, 2), keepdims=True) - STYLE_RANGE_DB)
    mean, square = ((weights @ values)[:, 0] for values in (clip, clip * clip))
    deviation = np.sqrt(np.maximum(0, square - mean**2)) + 1  # a band may be silent
    colour = mean - mean.mean(axis=1, keepdims=True)
    other = rng.permutation(len(windows))
    taken = rng.beta(STYLE_BETA, STYLE_BETA, len(windows)) * (rng.random(len(windows)) < share)
    shift = taken[:, None] * (colour[other] - colour)
    stretch = 1 + taken[:, None] * (deviation[other] / deviation - 1)
    restyled = clip * stretch[:, None] + (mean * (1 - stretch) + shift)[:, None]
    return np.where(inside[..., None], restyled, windows).astype(np.float32)


def steady_noise(noise: Noise, hiss: Hiss, length: int, rng: np.random.Generator) -> Windows:
    """Return the noise of each window as power, shape (windows, length, mels).

    It varies as noise does in a spectrogram: much in the narrow low bands, little in the wide high ones, and alike in
    frames that overlap. A network trained with noise that varies alike in all bands is poor in real noise.

    Args:
        noise: its power and colour in each window.
        hiss: of which a random part is taken.
        length: number of frames.
        rng: random generator.
    """
    colour = 10 ** (noise.colour_db / 10)
    level = (colour * (noise.power / colour.mean(axis=1))[:, None]).astype(np.float32)
    starts = rng.integers(0, len(hiss.power) - length + 1, len(level))
    flicker = noise.flicker[:, None, None].astype(np.float32)
    power: Windows = (1 + (hiss.power[starts[:, None] + np.arange(length)] - 1) * flicker) * level[:, None]
    return power


def _shape(noise: Noise, spectrum: NDArray[np.float32], share: float, rng: np.random.Generator) -> None:
    """Give this share of the noises another colour: to half of them that of another clip, to half rumble."""
    kind = rng.random(len(spectrum)) / share
    voices, rumbles = kind < 0.5, (kind >= 0.5) & (kind < 1)
    noise.colour_db[voices] = 10 * np.log10(rng.permutation(spectrum)[voices] + 1e-12)
    noise.colour_db[rumbles] = rumble_db(int(rumbles.sum()), spectrum.shape[1], rng)
    noise.flicker[rumbles] = rng.random(int(rumbles.sum()))


def rumble_db(count: int, mels: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return colours, dB, of noise in the lowest bands, as of mains, motors and steps, shape (count, mels).

    Flat up to a band in the lowest third, then falling by 20 to 60 dB over the next 2 to 16 bands, with a random offset
    of each band.
    """
    above = np.arange(mels) - rng.uniform(1, mels / 3, (count, 1))
    fallen = np.clip(above / rng.uniform(2, 16, (count, 1)), 0, 1)
    rumble: NDArray[np.float64] = rng.normal(0, 4, (count, mels)) - rng.uniform(20, 60, (count, 1)) * fallen
    return rumble


def mask(windows: Windows, augment: Augment, rng: np.random.Generator) -> Windows:
    """Return normalised windows with stripes of silence (Park et al. 2019, SpecAugment)."""
    for axis, masks, widest in (
        (1, augment.time_masks, augment.time_mask_frames),
        (2, augment.mel_masks, augment.mel_mask_bands),
    ):
        places = np.arange(windows.shape[axis])
        for _ in range(masks):
            width = rng.integers(0, widest + 1, len(windows))
            start = rng.integers(0, windows.shape[axis] - width + 1)
            silent = (places >= start[:, None]) & (places < (start + width)[:, None])
            windows = np.where(np.expand_dims(silent, 3 - axis), np.float32(0), windows)
    return windows


def mixup(parts: Sequence[NDArray[np.float32]], beta: float, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Blend windows, targets and soft targets with those of another window of the batch (Zhang et al. 2018, mixup)."""
    count = len(parts[0])
    share = rng.beta(beta, beta, count).astype(np.float32)
    share = np.maximum(share, 1 - share)
    other = rng.permutation(count)
    wide = [share.reshape(-1, *[1] * (part.ndim - 1)) for part in parts]
    return [kept * part + (1 - kept) * part[other] for kept, part in zip(wide, parts, strict=True)]


def _to_power(decibel: Windows) -> Windows:
    power: Windows = np.exp(decibel * np.float32(np.log(10) / 10))
    return power


def _to_db(power: Windows) -> Windows:
    decibel: Windows = np.log(power) * np.float32(10 / np.log(10))
    return decibel
