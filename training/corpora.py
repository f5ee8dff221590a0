"""Reads CREMA-D (Cao et al. 2014): a table of clips, and one file for each, FLAC or wav."""

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from models.frontend import Samples

EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral speech",
    "SAD": "sadness",
}

AUDIBLE = 33
"""A clip whose loudest sample is less than this is silent: -60 dB relative to full scale."""
SHORTEST_S = 0.1
"""A clip that is shorter says nothing."""


class CorpusError(Exception):
    """The recordings are missing, incomplete or corrupt; the text names the file and what to do."""


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """One recording and what is known of it."""

    path: Path
    speaker: int
    sex: str
    age: int | None
    """In years, where it is known."""
    label: str
    """What the actor was told to portray."""
    sentence: str
    """Short name of what is said."""
    intensity: str
    """How strongly the actor was told to portray it: LO, MD, HI, or XX where nothing was said."""
    samples: int | None
    """As many as the corpus's table says; None: the file may be of any length, rate and number of channels."""
    sha256: str
    """Of the official release's file."""
    votes: dict[str, int]
    """How many people, spec the voice alone, chose each emotion; empty where nobody was asked."""


def read_clips(recordings_dir: Path, labels: tuple[str, ...]) -> list[Clip]:
    """Return the clips with these labels, in the table's order, without those whose audio has two labels.

    Raises:
        CorpusError: the folder, its table or some of its recordings are missing, or a label is unknown.
    """
    folder = recordings_dir / "crema-d"
    table = folder / "clips.csv"
    if unknown := [label for label in labels if label not in EMOTIONS]:
        raise CorpusError(f"CREMA-D has no label {unknown[0]!r}: its labels are {', '.join(EMOTIONS)}")
    if not table.is_file():
        raise CorpusError(f"{table} is missing: recordings_dir must name the folder that holds crema-d/")
    with table.open(encoding="utf-8", newline="") as file:
        try:
            rows = [row for row in csv.DictReader(file) if row["duplicate_audio"] != "1"]
            clips = [clip for clip in (_clip(folder, row, table) for row in rows) if clip.label in labels]
        except KeyError as error:
            raise CorpusError(f"{table} has no column {error}: take the table that came with the recordings") from error
    there = {path.stem: path for path in (folder / "audio").glob("*") if path.suffix in {".flac", ".wav"}}
    if missing := [clip.path for clip in clips if clip.path.stem not in there]:
        raise CorpusError(
            f"{folder} is not complete: {len(missing)} of {len(clips)} clips that {table.name} lists are missing, "
            f"the first is {missing[0].name}"
        )
    return [msgspec.structs.replace(clip, path=there[clip.path.stem]) for clip in clips]


def read_audio(clip: Clip, sample_rate_hz: int) -> Samples:
    """Return a clip's samples, int16, shape (clip.samples,).

    A clip of which no table tells the length is resampled, and of several channels the mean is taken.

    Raises:
        CorpusError: the file is no audio, it is too short or silent, or it is not mono of this rate and of the
            length that the table gives.
    """
    try:
        samples, rate_hz = soundfile.read(clip.path, dtype="int16")
    except (soundfile.SoundFileError, OSError) as error:
        raise CorpusError(f"{clip.path} cannot be read as audio: {error}; copy it again") from error
    if clip.samples is None:
        samples = _converted(samples, rate_hz, sample_rate_hz)
    elif samples.shape != (clip.samples,) or rate_hz != sample_rate_hz:
        raise CorpusError(
            f"{clip.path} holds {samples.shape} samples at {rate_hz} Hz, "
            f"clips.csv says {clip.samples} mono samples at {sample_rate_hz} Hz; copy it again"
        )
    if len(samples) < SHORTEST_S * sample_rate_hz:
        raise CorpusError(
            f"{clip.path} is too short: {len(samples)} samples; leave out what is shorter than {SHORTEST_S:g} s"
        )
    if np.abs(samples.astype(np.int32)).max() < AUDIBLE:
        raise CorpusError(
            f"{clip.path} is silent: nothing in it is louder than -60 dBFS; copy it again or leave it out"
        )
    return np.asarray(samples, np.int16)


def _converted(samples: NDArray[np.int16], rate_hz: int, wanted_hz: int) -> Samples:
    mono = samples if samples.ndim == 1 else np.rint(samples.mean(axis=1)).astype(np.int16)
    resampled: Samples = mono if rate_hz == wanted_hz else soxr.resample(mono, rate_hz, wanted_hz)
    return resampled


def digest(clips: Iterable[Clip], *, votes: bool = False) -> str:
    """Return one sha256 over the names and hashes of recordings, whatever their order, and over votes if they count."""
    lines = sorted(f"{clip.path.stem} {clip.sha256}{_voted(clip) if votes else ''}\n" for clip in clips)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _voted(clip: Clip) -> str:
    return "".join(f" {emotion} {count}" for emotion, count in sorted(clip.votes.items()) if count)


def _clip(folder: Path, row: dict[str, str], table: Path) -> Clip:
    if row["emotion"] not in EMOTIONS:
        raise CorpusError(
            f"{table}: {row['file']} has the unknown label {row['emotion']!r}, labels are {', '.join(EMOTIONS)}"
        )
    return Clip(
        path=folder / "audio" / row["file"],
        speaker=int(row["actor"]),
        sex=row["sex"],
        age=int(row["age"]),
        sentence=row["sentence"],
        intensity=row["level"],
        label=row["emotion"],
        samples=int(row["samples"]),
        sha256=row["sha256"],
        votes={emotion: int(row[f"voice_{emotion[0]}"] or 0) for emotion in EMOTIONS},
    )
