"""Background noise and echo of the windows that a model is calibrated and scored on.

Training has noise of its own, which `augment` makes of mel energies: no generator of noise serves both sides.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.frontend import Samples

RATE_HZ = 16_000
FAINT = 8.0
"""RMS of the hiss of a good microphone in a quiet room, in int16 steps: -72 dBFS."""
SNR_DB = 30.0
"""Signal-to-noise ratio of the backgrounds that go on under the clip."""

Noise = NDArray[np.float64]
"""Shape (samples,), in int16 steps."""


class Background(NamedTuple):
    """One kind of background."""

    title: str
    """For people."""
    make: Callable[[Samples, int, np.random.Generator], Noise]
    """Takes the clip, the number of samples and the random generator."""
    under: bool = False
    """Whether it goes on under the clip, not only before and after it."""
    echo_s: float = 0.0
    """Reverberation time: in which an echo in the clip's room falls by 60 dB."""


def centred(samples: Samples, window: int, background: Background, rng: np.random.Generator) -> Samples:
    """Return a window with the clip in its middle and a background; of a longer clip, with the clip's middle."""
    cut = max(0, len(samples) - window) // 2
    samples = samples[cut : cut + window]
    if background.echo_s:
        samples = echoing(samples, background.echo_s, rng)
    before = (window - len(samples)) // 2
    clip = slice(before, before + len(samples))
    sound = background.make(samples, window, rng)
    sound[clip] = sound[clip] + samples if background.under else samples
    return np.rint(sound).clip(-32_768, 32_767).astype(np.int16)


def own(samples: Samples, length: int, rng: np.random.Generator) -> Noise:
    """Return noise with the spectrum of the clip's quietest parts."""
    return _coloured(_quiet_spectrum(samples), length, rng)


def white(samples: Samples, length: int, rng: np.random.Generator) -> Noise:
    """Return white noise as loud as the clip's quietest parts."""
    return rng.normal(0, np.sqrt(_quiet_spectrum(samples).mean()), length)


def faint(_samples: Samples, length: int, rng: np.random.Generator) -> Noise:
    """Return white noise far below any clip."""
    return rng.normal(0, FAINT, length)


def silence(_samples: Samples, length: int, _rng: np.random.Generator) -> Noise:
    """Return digital silence."""
    return np.zeros(length)


def pink(samples: Samples, length: int, rng: np.random.Generator, snr_db: float = SNR_DB) -> Noise:
    """Return pink noise: as much power in each octave."""
    spectrum = 1 / np.maximum(np.linspace(0, RATE_HZ / 2, length // 2 + 1), 20)
    return _below(samples, _coloured(spectrum, length, rng), snr_db)


def floor(samples: Samples, length: int, rng: np.random.Generator, dbfs: float) -> Noise:
    """Return pink noise with this RMS level, 0 dBFS being 32,768."""
    noise = pink(samples, length, rng)
    return noise * float(32_768 * 10 ** (dbfs / 20) / noise.std())


def hum(samples: Samples, length: int, rng: np.random.Generator, snr_db: float = SNR_DB) -> Noise:
    """Return mains hum of 50 Hz with nine harmonics, and faint hiss."""
    turns = np.exp(2j * np.pi * 50 * np.arange(length) / RATE_HZ)
    harmonics = np.exp(2j * np.pi * rng.random(10)) / np.arange(1, 11)
    # the k-th power of the turns is the k-th harmonic: a polynomial is done in a third of the time of ten sines
    tones = np.polyval([*harmonics[::-1], 0], turns).imag
    return _below(samples, tones, snr_db) + rng.normal(0, FAINT, length)


def voices(samples: Samples, length: int, rng: np.random.Generator, snr_db: float = SNR_DB) -> Noise:
    """Return noise with the clip's average spectrum, as of many people who speak at once (babble)."""
    frame = 512
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame) * np.hanning(frame)
    spectrum = (np.abs(np.fft.rfft(frames)) ** 2).mean(axis=0)
    return _below(samples, _coloured(spectrum, length, rng), snr_db)


def echoing(samples: Samples, echo_s: float, rng: np.random.Generator) -> Samples:
    """Return a clip with as much echo as direct sound, the echo falling by 60 dB in `echo_s`."""
    length = int(echo_s * RATE_HZ)
    response = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    response /= np.sqrt((response**2).sum())
    # a power of two: an FFT of any other length may take ten times as long
    size = 1 << (len(samples) + length).bit_length()
    echo = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[: len(samples)]
    mixed: Samples = np.rint((samples + echo) / np.sqrt(2)).clip(-32_768, 32_767).astype(np.int16)
    return mixed


BACKGROUNDS = {
    "own": Background("noise with the level and the colour of the clip's own background", own),
    "white": Background("white noise with the level of the clip's own background", white),
    "faint": Background("white noise at -72 dBFS", faint),
    "silence": Background("digital silence", silence),
    "pink": Background(f"pink noise {SNR_DB:g} dB below the clip, under it too", pink, under=True),
    "hum": Background(f"mains hum {SNR_DB:g} dB below the clip, under it too", hum, under=True),
}


NOISES = {
    **{
        f"{make.__name__}-{snr_db}": Background(
            f"{title} {snr_db} dB below the clip", partial(make, snr_db=snr_db), under=True
        )
        for make, title in ((pink, "pink noise"), (hum, "mains hum"), (voices, "noise like many voices"))
        for snr_db in (20, 10, 5, 0)
    },
    "echo-0.3": Background("a room with 0.3 s of echo", faint, echo_s=0.3),
    "echo-0.6": Background("a room with 0.6 s of echo", faint, echo_s=0.6),
}
"""Harder than the backgrounds of the calibration: these only measure robustness."""


FLOORS = {
    "silence": BACKGROUNDS["silence"],
    **{
        str(dbfs): Background(f"pink noise at {dbfs} dBFS", partial(floor, dbfs=dbfs), under=True)
        for dbfs in (-70, -60, -50, -40)
    },
}
"""The same floor under every clip, however loud the clip is, as one microphone in one room has it."""


def _quiet_spectrum(samples: Samples, frame: int = 512) -> NDArray[np.float64]:
    """Return the power spectrum of the clip's quietest tenth, for each sample, from 0 Hz to the Nyquist frequency."""
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float64)
    levels = frames.std(axis=1)
    sounding = frames[levels > 0]  # some clips begin or end in digital silence
    if len(sounding) == 0:
        return np.zeros(frame // 2 + 1)
    quietest = sounding[np.argsort(levels[levels > 0])[: max(1, len(sounding) // 10)]]
    hann = np.hanning(frame)
    spectrum: NDArray[np.float64] = (np.abs(np.fft.rfft(quietest * hann)) ** 2).mean(axis=0) / (hann**2).sum()
    return spectrum


def _coloured(spectrum: NDArray[np.float64], length: int, rng: np.random.Generator) -> Noise:
    """Return Gaussian noise with this power spectrum, evenly spaced from 0 Hz to the Nyquist frequency."""
    places = np.linspace(0, 1, length // 2 + 1)
    magnitude = np.sqrt(np.interp(places, np.linspace(0, 1, len(spectrum)), spectrum))
    noise: Noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(length)) * magnitude, length)
    return noise


def _below(samples: Samples, noise: Noise, snr_db: float) -> Noise:
    """Return the noise scaled to this signal-to-noise ratio."""
    return noise * float(samples.std(dtype=np.float64) / noise.std() / 10 ** (snr_db / 20))
