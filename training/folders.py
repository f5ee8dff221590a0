"""Reads recordings of your own: a folder for each label, with wav or FLAC files of any rate.

A file's name up to its first underscore or hyphen names the speaker: `ANG/anna_1.wav`.
"""

import hashlib
import re
from pathlib import Path

from training.corpora import Clip, CorpusError

SUFFIXES = {".flac", ".wav"}


def read_clips(folder: Path, labels: tuple[str, ...]) -> list[Clip]:
    """Return the clips with these labels, label by label.

    Raises:
        CorpusError: the folder is missing, one of its folders is no label, or a label has no clips.
    """
    if not folder.is_dir():
        raise CorpusError(
            f"no corpus {str(folder)!r}: give crema-d, ravdess, or a folder with one folder for each label"
        )
    there = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if unknown := [name for name in there if name not in labels]:
        raise CorpusError(f"{folder / unknown[0]} is no label: name the folders {', '.join(labels)}")
    files = {label: sorted(_recordings(folder / label)) for label in labels}
    if missing := [label for label in labels if not files[label]]:
        raise CorpusError(f"{folder / missing[0]} holds no wav or FLAC file: give some of each of {', '.join(labels)}")
    names = sorted({_speaker(file) for of_label in files.values() for file in of_label})
    return [
        Clip(
            path=file,
            speaker=names.index(_speaker(file)) + 1,
            sex="",
            age=None,
            label=label,
            sentence="",
            intensity="",
            samples=None,
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            votes={},
        )
        for label in labels
        for file in files[label]
    ]


def _recordings(folder: Path) -> list[Path]:
    return [file for file in folder.glob("*") if file.suffix.lower() in SUFFIXES]


def _speaker(file: Path) -> str:
    return re.split("[_-]", file.stem)[0]
