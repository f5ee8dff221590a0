"""Reads CREMA-D (Cao et al. 2014): a table of clips, and a FLAC or wav file of each."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from common.audio_files import AudioFile, AudioFileError
from models.frontend import Samples

EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral speech",
    "SAD": "sadness",
}
"""The emotions of CREMA-D, which people voted on."""
NAMES = {**EMOTIONS, "BOR": "boredom", "CAL": "calm", "NEG": "negative", "SUR": "surprise"}
"""What labels of known corpora mean, in words."""
SEXES = {"F": "Female", "M": "Male"}
"""Prefixes of labels that also tell the speaker's sex: F_ANG."""

UNKNOWN = -1
"""Speaker of a clip of which nothing says who speaks."""
AUDIBLE = 33
"""The loudest sample of a clip must reach this: -60 dBFS."""
SHORTEST_S = 0.1
"""The shortest clip that is accepted."""


class CorpusError(Exception):
    """The recordings are missing, incomplete or corrupt; the text names the file and what to do."""


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """One recording and its labels."""

    path: Path
    speaker: int
    """Number in the corpus; `UNKNOWN` where nothing says who speaks."""
    sex: str
    age: int | None = None
    """In years, where it is known."""
    label: str
    """What the actor was told to portray."""
    sentence: str
    """Short name of what is said."""
    intensity: str = ""
    """How strongly the actor was told to portray it: LO, MD, HI, or XX where it was not specified."""
    samples: int | None = None
    """Length by the corpus's table; None: the file may have any length, rate and number of channels."""
    sha256: str
    """Of the official release's file."""
    votes: dict[str, int] = {}
    """How many people, spec the voice alone, chose each emotion; empty where nobody was asked."""
    corpus: str = ""
    """Of a recipe, which the clip is from."""
    copy: int = 0
    """Which altered copy of the recording, as a published system makes them; 0: as it was recorded."""


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
    """Return a clip's samples, int16, shape (samples,).

    A clip without a length in a table is resampled and mixed down to mono.

    Raises:
        CorpusError: the file is no audio, too short, too long or silent; its channels cancel each other out; or it is
            not mono with this rate and the table's length.
    """
    try:
        with AudioFile(clip.path) as file:
            told = (clip.samples, 1, sample_rate_hz)
            if clip.samples is not None and (file.frames, file.channels, file.rate_hz) != told:
                raise CorpusError(
                    f"{clip.path} holds {file.frames} samples of {file.channels} channels at {file.rate_hz} Hz, "
                    f"clips.csv says {clip.samples} mono samples at {sample_rate_hz} Hz; copy it again"
                )
            samples = file.read(sample_rate_hz)
    except AudioFileError as error:
        raise CorpusError(str(error)) from error
    if len(samples) < SHORTEST_S * sample_rate_hz:
        raise CorpusError(
            f"{clip.path} is too short: {len(samples)} samples; leave out what is shorter than {SHORTEST_S:g} s"
        )
    if np.abs(samples.astype(np.int32)).max() < AUDIBLE:
        raise CorpusError(f"{clip.path} is silent: no sample reaches -60 dBFS; copy it again or leave it out")
    return samples


def listed(words: Sequence[str]) -> str:
    """Return words as people list them: one, two and three."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def name(label: str) -> str:
    """Return what a label means, in words: that of a corpus, with the speaker's sex, or a word of one's own."""
    sex, _, emotion = label.rpartition("_")
    if sex in SEXES and emotion:
        return f"{name(emotion)} of a {'woman' if sex == 'F' else 'man'}"
    return NAMES.get(label, label.lower())


def sha256(file: Path) -> str:
    """Return the sha256 of a file, which is not held in memory as a whole."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def digest(clips: Iterable[Clip], *, votes: bool = False) -> str:
    """Return a sha256 over names and hashes of recordings in any order, and over their votes if these are learned."""
    lines = sorted(
        f"{clip.path.stem} {clip.sha256}{f' copy {clip.copy}' * bool(clip.copy)}{_voted(clip) if votes else ''}\n"
        for clip in clips
    )
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
