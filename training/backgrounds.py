"""Background noise and echo of the windows that a model is calibrated and scored on.

Training has noise of its own, which `augment` makes of mel energies: no generator of noise serves both sides.
"""

from collections.abc import Callable, Sequence
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
TALKERS = (4, 8)
"""Fewest and most people in babble."""

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


def speech_shaped(samples: Samples, length: int, rng: np.random.Generator, snr_db: float = SNR_DB) -> Noise:
    """Return steady noise with the clip's average spectrum (speech-shaped noise); nobody speaks in it."""
    frame = 512
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame) * np.hanning(frame)
    spectrum = (np.abs(np.fft.rfft(frames)) ** 2).mean(axis=0)
    return _below(samples, _coloured(spectrum, length, rng), snr_db)


def babble(samples: Samples, length: int, rng: np.random.Generator, snr_db: float, voices: Sequence[Samples]) -> Noise:
    """Return several people who speak at once, each without a pause, all as loud.

    Args:
        samples: clip that sets the level.
        length: samples of babble.
        rng: chooses how many speak, and where in their speech each begins.
        snr_db: how far the babble is below the clip.
        voices: one stretch of speech for each person, int16, who is not the clip's speaker.
    """
    sound = np.zeros(length)
    for number in rng.permutation(len(voices))[: rng.integers(*TALKERS, endpoint=True)]:
        voice = np.roll(voices[number], rng.integers(len(voices[number])))
        sound += np.resize(voice / voice.std(dtype=np.float64), length)
    return _below(samples, sound, snr_db)


def music(samples: Samples, length: int, rng: np.random.Generator, snr_db: float = SNR_DB) -> Noise:
    """Return music made by arithmetic: bass, chords, a melody with vibrato, and drums, in pieces of eight bars.

    Each piece has a tempo, a key, a progression of chords and instruments of its own.
    """
    pieces, missing = [], length
    while missing > 0:
        pieces.append(_piece(rng))
        missing -= len(pieces[-1])
    return _below(samples, np.concatenate(pieces)[:length], snr_db)


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
        f"{key}-{snr_db}": Background(f"{title} {snr_db} dB below the clip", partial(make, snr_db=snr_db), under=True)
        for key, make, title in (
            ("pink", pink, "pink noise"),
            ("hum", hum, "mains hum"),
            ("voices", speech_shaped, "speech-shaped noise"),  # the key is from when results took it for voices
        )
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


_PROGRESSIONS = ((0, 5, 3, 4), (0, 3, 4, 0), (0, 4, 5, 3), (0, 2, 3, 4), (5, 3, 0, 4))
"""Degrees of the major scale, from 0, one for each of four chords."""
_MAJOR = (0, 2, 4, 5, 7, 9, 11)


def _piece(rng: np.random.Generator) -> Noise:
    """Return one piece: eight bars of four beats, two bars for each chord."""
    beat = int(RATE_HZ * 60 / rng.uniform(70, 150))
    tonic = int(rng.integers(45, 57))  # MIDI notes from A2 to A3
    sound = np.zeros(32 * beat)
    timbres = [_timbre(rng) for _ in range(3)]
    drums = rng.uniform(0, 1.2)
    for bar, degree in enumerate(np.repeat(_PROGRESSIONS[rng.integers(len(_PROGRESSIONS))], 2).tolist()):
        begin = 4 * bar * beat
        for step in (0, 2, 4):
            _play(sound[begin : begin + 4 * beat], _note(tonic, degree + step), 0.5, timbres[0])
        for half in (begin, begin + 2 * beat):
            _play(sound[half : half + 2 * beat], _note(tonic, degree) - 12, 0.8, timbres[1])
        place = 0.0
        while place < 4:
            lasts = min(rng.choice([0.5, 1, 1.5, 2]), 4 - place)
            if rng.random() < 0.85:  # else a rest
                high = _note(tonic, degree + int(rng.choice([0, 2, 4, 7, 1, 5]))) + 12
                _play(sound[begin + int(place * beat) :][: int(lasts * beat)], high, 0.7, timbres[2])
            place += lasts
        for eighth in range(8):
            _drum(sound, begin + eighth * beat // 2, drums * (1.0, 0.25, 0.8, 0.25)[eighth % 4], eighth % 4, rng)
    return sound


class _Timbre(NamedTuple):
    """How an instrument sounds."""

    harmonics: NDArray[np.float64]
    """Amplitude of each, from the fundamental on."""
    decay_s: float
    """In which a note falls to 37 %."""
    vibrato: float
    """Largest deviation of the frequency, as a share."""


def _timbre(rng: np.random.Generator) -> _Timbre:
    """Return an instrument: plucked, struck, blown or bowed."""
    number = np.arange(1, rng.integers(4, 14))
    weights = np.power(number, -rng.uniform(0.7, 2.2), dtype=np.float64)
    if rng.random() < 0.3:
        weights[1::2] *= 0.1  # as in a clarinet
    return _Timbre(weights, rng.choice([0.3, 0.8, 5.0]), rng.choice([0.0, 0.004, 0.01]))


def _note(tonic: int, degree: int) -> int:
    """Return the MIDI note of a degree of the major scale."""
    return tonic + 12 * (degree // 7) + _MAJOR[degree % 7]


def _play(sound: Noise, note: int, loudness: float, timbre: _Timbre) -> None:
    """Add one note, as long as the sound."""
    time_s = np.arange(len(sound)) / RATE_HZ
    hertz = 440 * 2 ** ((note - 69) / 12)
    phase = 2 * np.pi * hertz * (time_s + timbre.vibrato / (2 * np.pi * 5.5) * np.sin(2 * np.pi * 5.5 * time_s))
    audible = timbre.harmonics[: max(1, int(RATE_HZ / 2 / hertz))]
    tone = np.polyval([*audible[::-1], 0], np.exp(1j * phase)).imag  # harmonics as powers, as in `hum`
    envelope = np.minimum(1, time_s / 0.01) * np.exp(-time_s / timbre.decay_s)
    envelope *= np.minimum(1, (len(time_s) - np.arange(len(time_s))) / (0.03 * RATE_HZ))
    sound += loudness * envelope * tone


def _drum(sound: Noise, begin: int, loudness: float, kind: int, rng: np.random.Generator) -> None:
    """Add one beat: a bass drum (0), a snare (2) or a hi-hat."""
    time_s = np.arange(min(RATE_HZ // 5, len(sound) - begin)) / RATE_HZ
    if kind == 0:
        hit = 2 * np.sin(2 * np.pi * 5 * (1 - np.exp(-25 * time_s)) + 2 * np.pi * 50 * time_s) * np.exp(-12 * time_s)
    else:
        hiss = rng.standard_normal(len(time_s))
        hit = hiss * np.exp(-18 * time_s) if kind == 2 else np.diff(hiss, prepend=0) * np.exp(-60 * time_s)
    sound[begin : begin + len(time_s)] += loudness * hit
