"""What sounds in the day of `trials.room_day`: the voices of actors, pauses, music, a quarrel, another microphone."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from device.audio.source import SAMPLE_RATE_HZ
from models.frontend import Samples
from models.runtime import synthetic_clip
from training import backgrounds, catalogue, corpora
from training.corpora import Clip
from trials.streams import NOBODY, telephone

ROOM_DBFS, MUSIC_DBFS = -62.0, -38.0
SPEECH_DBFS = -30.0
"""Of all clips of an actor together; angry ones are louder than even ones, as they were recorded."""
CALM, ROUSED = 0.7, 0.1
"""Shares of neutral speech; the other labels are alike, in a quarrel all else is anger."""


class Hour(NamedTuple):
    """What happens in an hour."""

    voices: str = ""
    """Which of the actors talk, a letter each."""
    event: str = ""
    """What else there is."""

    @property
    def neutral(self) -> float:
        """Share of neutral speech."""
        return ROUSED if self.event == QUARREL else CALM

    @property
    def title(self) -> str:
        """In words."""
        return ", ".join([*self.voices, *filter(None, [self.event])]) or "nobody"


MUSIC, QUARREL = "music", "quarrel"
DAY = (
    *[Hour()] * 6,
    *[Hour("A")] * 2,
    Hour("AB"),
    Hour(),
    Hour(event=MUSIC),
    Hour("A"),
    Hour("ABC"),
    Hour("C"),
    Hour("AB"),
    Hour("A"),
    Hour("AB"),
    Hour("A", MUSIC),
    Hour("ABC"),
    Hour("A", QUARREL),
    Hour("B"),
    Hour(event=MUSIC),
    Hour("A"),
    Hour(),
)
OTHER_MICROPHONE = 15
"""Hour from which on another microphone hears."""


class Sounds:
    """The sound of each hour; the same each time.

    Args:
        recordings_dir: holds RAVDESS.
        labels: of the model.
        minutes: of sound that stand for an hour.
    """

    def __init__(self, recordings_dir: Path, labels: tuple[str, ...], minutes: float) -> None:
        clips = catalogue.read("ravdess", recordings_dir, labels)
        actors = sorted({clip.speaker for clip in clips})[:3]
        self._voices = {
            letter: _Voice([clip for clip in clips if clip.speaker == actor])
            for letter, actor in zip("ABC", actors, strict=True)
        }
        self._labels = labels
        self._length = round(60 * minutes * SAMPLE_RATE_HZ)
        self._rng = np.random.default_rng(7)

    def of(self, number: int) -> tuple[Samples, np.ndarray]:
        """Return the sound of an hour, and the label of each sample, `NOBODY` in pauses."""
        rng, labels, length, hour = self._rng, self._labels, self._length, DAY[number]
        clean, truth, place = np.zeros(length), np.full(length, NOBODY, np.int8), SAMPLE_RATE_HZ
        while hour.voices:
            voice = self._voices[hour.voices[int(rng.integers(len(hour.voices)))]]
            others = ["ANG"] if hour.event == QUARREL else [label for label in labels if label != "NEU"]
            label = "NEU" if rng.random() < hour.neutral else str(rng.choice(others))
            clip = voice.say(label, rng)
            if place + len(clip) > length:
                break
            clean[place : place + len(clip)] = clip
            truth[place : place + len(clip)] = labels.index(label)
            place += len(clip) + int(rng.uniform(0.3, 3.0) * SAMPLE_RATE_HZ)
        sound = clean + _at(backgrounds.pink(synthetic_clip(SAMPLE_RATE_HZ), length, rng), ROOM_DBFS)
        if hour.event == MUSIC:
            sound += _at(backgrounds.music(synthetic_clip(SAMPLE_RATE_HZ), length, rng), MUSIC_DBFS)
        if number >= OTHER_MICROPHONE:
            sound = telephone(sound) / 4 + rng.normal(0, 12, length)
        return np.rint(sound).clip(-32_768, 32_767).astype(np.int16), truth


class _Voice:
    """An actor's clips, all by the same gain.

    Args:
        clips: of one speaker.
    """

    def __init__(self, clips: Sequence[Clip]) -> None:
        read = [(clip.label, corpora.read_audio(clip, SAMPLE_RATE_HZ)) for clip in clips]
        level = np.concatenate([samples for _, samples in read]).std(dtype=np.float64)
        gain = 32_768 * 10 ** (SPEECH_DBFS / 20) / level
        self._by_label: dict[str, list[np.ndarray]] = {}
        for label, samples in read:
            self._by_label.setdefault(label, []).append(samples * gain)

    def say(self, label: str, rng: np.random.Generator) -> np.ndarray:
        """Return one of the clips with a label."""
        return self._by_label[label][int(rng.integers(len(self._by_label[label])))]


def _at(noise: np.ndarray, dbfs: float) -> np.ndarray:
    """Return noise with this RMS level."""
    scaled: np.ndarray = noise * (32_768 * 10 ** (dbfs / 20) / noise.std())
    return scaled
