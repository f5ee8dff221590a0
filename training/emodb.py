"""Reads EmoDB (Burkhardt et al. 2005): ten German sentences spoken by ten actors, as its archive unpacks."""

import re
from pathlib import Path

from training.corpora import Clip, CorpusError, sha256

FOLDER = "emodb"
LABELS = {"W": "ANG", "E": "DIS", "A": "FEA", "F": "HAP", "N": "NEU", "T": "SAD", "L": "BOR"}
"""By the letter of the German word; boredom has no counterpart in CREMA-D."""
NAME = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[AEFLNTW])[a-z]?")
"""Of a file, without its ending."""
MEN = {3, 10, 11, 12, 15}
FILES = 535


def recordings(recordings_dir: Path) -> list[Path]:
    """Return the recordings that are there, by name."""
    folder = recordings_dir / FOLDER
    files = [file for place in (folder, folder / "wav") for file in place.glob("*") if NAME.fullmatch(file.stem)]
    return sorted((file for file in files if file.suffix in {".flac", ".wav"}), key=lambda file: file.name)


def read_clips(recordings_dir: Path, labels: tuple[str, ...]) -> list[Clip]:
    """Return the clips with these labels, by the names of their files.

    Raises:
        CorpusError: the folder or some of its recordings are missing, or a label is not one of EmoDB.
    """
    if unknown := [label for label in labels if label not in LABELS.values()]:
        raise CorpusError(f"EmoDB has no label {unknown[0]!r}: its labels are {', '.join(sorted(LABELS.values()))}")
    files = recordings(recordings_dir)
    if len(files) != FILES:
        raise CorpusError(
            f"{recordings_dir / FOLDER} holds {len(files)} of the {FILES} recordings of EmoDB: fetch them with "
            "`moodwire data fetch emodb`"
        )
    return [clip for clip in map(_clip, files) if clip.label in labels]


def _clip(file: Path) -> Clip:
    found = NAME.fullmatch(file.stem)
    assert found is not None  # `recordings` lists no others
    speaker = int(found["speaker"])
    return Clip(
        path=file,
        speaker=speaker,
        sex="Male" if speaker in MEN else "Female",
        label=LABELS[found["emotion"]],
        sentence=found["sentence"],
        sha256=sha256(file),
    )
