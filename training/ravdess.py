"""Reads RAVDESS (Livingstone and Russo 2018): the speech of up to 24 actors, as its archive unpacks.

Its licence, CC BY-NC-SA 4.0, allows no commercial use: models are measured on it, and none is trained on it.
"""

import re
from collections import Counter
from pathlib import Path

from training.corpora import Clip, CorpusError, sha256

FOLDER = "ravdess"
LABELS = {"01": "NEU", "03": "HAP", "04": "SAD", "05": "ANG", "06": "FEA", "07": "DIS"}
"""Calm (02) and surprised (08) have no counterpart in CREMA-D."""
NAME = re.compile(
    r"0[1-3]-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<statement>0[12])-0[12]-(?P<speaker>\d\d)"
)
"""Of a file, without its ending."""
FILES = 1_440
OF_ACTOR = 60
"""Recordings of speech of each actor."""


def recordings(recordings_dir: Path) -> list[Path]:
    """Return the recordings of speech that are there, by name."""
    folder = recordings_dir / FOLDER
    files = [file for place in (folder, folder / "speech") for file in place.glob("Actor_*/*")]
    return sorted((file for file in files if file.suffix in {".flac", ".wav"} and _is_speech(file)), key=_name)


def read_clips(recordings_dir: Path, labels: tuple[str, ...]) -> list[Clip]:
    """Return the clips with these labels, by the names of their files.

    Raises:
        CorpusError: there are no recordings, an actor's are not complete, or a label is not one of RAVDESS.
    """
    if unknown := [label for label in labels if label not in LABELS.values()]:
        raise CorpusError(f"RAVDESS has no label {unknown[0]!r}: its labels are {', '.join(sorted(LABELS.values()))}")
    files = recordings(recordings_dir)
    of_actors = Counter(file.stem[-2:] for file in files)
    if not files or any(count != OF_ACTOR for count in of_actors.values()):
        raise CorpusError(
            f"{recordings_dir / FOLDER} holds {len(files)} of the {FILES} recordings of RAVDESS, "
            f"not {OF_ACTOR} of each actor: fetch them with `moodwire data fetch ravdess`"
        )
    return [clip for clip in map(_clip, files) if clip.label in labels]


def _name(file: Path) -> str:
    return file.name


def _is_speech(file: Path) -> bool:
    found = NAME.fullmatch(file.stem)
    return found is not None and found["channel"] == "01"


def _clip(file: Path) -> Clip:
    found = NAME.fullmatch(file.stem)
    assert found is not None  # `recordings` lists no others
    speaker = int(found["speaker"])
    return Clip(
        path=file,
        speaker=speaker,
        sex="Male" if speaker % 2 else "Female",
        age=None,
        label=LABELS.get(found["emotion"], ""),
        sentence={"01": "kids", "02": "dogs"}[found["statement"]],
        intensity={"01": "normal", "02": "strong"}[found["intensity"]],
        samples=None,
        sha256=sha256(file),
        votes={},
    )
