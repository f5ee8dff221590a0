"""Reads RAVDESS (Livingstone and Russo 2018): speech and song of up to 24 actors, as its two archives unpack.

Its licence, CC BY-NC-SA 4.0, allows no commercial use: no shipped model is trained on it.
"""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from training.corpora import Clip, CorpusError, sha256

FOLDER = "ravdess"
LABELS = {
    "01": "NEU",
    "02": "CAL",
    "03": "HAP",
    "04": "SAD",
    "05": "ANG",
    "06": "FEA",
    "07": "DIS",
    "08": "SUR",
}
"""Calm and surprised have no counterpart in CREMA-D; nobody sings disgust or surprise."""
NAME = re.compile(
    r"0[1-3]-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<statement>0[12])-0[12]-(?P<speaker>\d\d)"
)
"""Of a file, without its ending."""
FILES = 1_440
"""Recordings of speech."""


class Channel(NamedTuple):
    """How the actors give voice."""

    number: str
    """In the names of files."""
    title: str
    files: int
    """Recordings of all actors."""
    of_actor: int
    """Recordings of each actor."""
    hint: str
    """How to get them."""


SPEECH = Channel("01", "RAVDESS", FILES, 60, "fetch them with `moodwire data fetch ravdess`")
SONG = Channel(
    "02",
    "RAVDESS song",
    1_012,
    44,
    "unpack Audio_Song_Actors_01-24.zip of https://zenodo.org/records/1188976 into ravdess/song",
)


def recordings(recordings_dir: Path, channel: Channel = SPEECH) -> list[Path]:
    """Return the recordings of a channel that are there, by name."""
    folder = recordings_dir / FOLDER
    places = (folder, folder / ("speech" if channel is SPEECH else "song"))
    files = [file for place in places for file in place.glob("Actor_*/*") if file.suffix in {".flac", ".wav"}]
    return sorted((file for file in files if _is_of(file, channel)), key=_name)


def read_clips(recordings_dir: Path, labels: tuple[str, ...], channel: Channel = SPEECH) -> list[Clip]:
    """Return the clips of a channel with these labels, by the names of their files.

    Raises:
        CorpusError: there are no recordings, an actor's are not complete, or a label is not one of RAVDESS.
    """
    if unknown := [label for label in labels if label not in LABELS.values()]:
        raise CorpusError(f"RAVDESS has no label {unknown[0]!r}: its labels are {', '.join(sorted(LABELS.values()))}")
    files = recordings(recordings_dir, channel)
    of_actors = Counter(file.stem[-2:] for file in files)
    if not files or any(count != channel.of_actor for count in of_actors.values()):
        raise CorpusError(
            f"{recordings_dir / FOLDER} holds {len(files)} of the {channel.files} recordings of {channel.title}, "
            f"not {channel.of_actor} of each actor: {channel.hint}"
        )
    return [clip for clip in map(_clip, files) if clip.label in labels]


def read_song(recordings_dir: Path, labels: tuple[str, ...]) -> list[Clip]:
    """Return the clips of song with these labels, by the names of their files.

    Raises:
        CorpusError: as `read_clips` does.
    """
    return read_clips(recordings_dir, labels, SONG)


def _name(file: Path) -> str:
    return file.name


def _is_of(file: Path, channel: Channel) -> bool:
    found = NAME.fullmatch(file.stem)
    return found is not None and found["channel"] == channel.number


def _clip(file: Path) -> Clip:
    found = NAME.fullmatch(file.stem)
    assert found is not None  # `recordings` lists no others
    speaker = int(found["speaker"])
    return Clip(
        path=file,
        speaker=speaker,
        sex="Male" if speaker % 2 else "Female",
        label=LABELS[found["emotion"]],
        sentence={"01": "kids", "02": "dogs"}[found["statement"]],
        intensity={"01": "normal", "02": "strong"}[found["intensity"]],
        sha256=sha256(file),
    )
