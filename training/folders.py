"""Reads recordings of your own: a folder for each label, with WAV, FLAC, OGG or MP3 files of any rate.

A file's name up to its first underscore or hyphen names the speaker: `ANG/anna_1.wav`.
"""

import logging
import re
from pathlib import Path

from common import audio_files
from training.corpora import Clip, CorpusError, sha256

log = logging.getLogger(__name__)

NOT_LABELS = ("__MACOSX",)
"""Folders that programs leave behind, besides hidden ones."""


def read_clips(folder: Path, labels: tuple[str, ...]) -> list[Clip]:
    """Return the clips with these labels, label by label.

    Raises:
        CorpusError: the folder is missing, one of its folders is no label, or a label has no clips.
    """
    if not folder.is_dir():
        raise CorpusError(
            f"no corpus {str(folder)!r}: give crema-d, ravdess, or a folder with one folder for each label"
        )
    there = sorted(path.name for path in folder.iterdir() if path.is_dir() and not _is_left_behind(path))
    if unknown := [name for name in there if name not in labels]:
        raise CorpusError(f"{folder / unknown[0]} is no label: name the folders {', '.join(labels)}")
    files = {label: sorted(_recordings(folder / label)) for label in labels}
    if missing := [label for label in labels if not files[label]]:
        raise CorpusError(f"{folder / missing[0]} holds no WAV or FLAC file: give some of each of {', '.join(labels)}")
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
            sha256=sha256(file),
            votes={},
        )
        for label in labels
        for file in files[label]
    ]


def _recordings(folder: Path) -> list[Path]:
    """Return the audio files of a label, and log what is left out; none if there is no such folder."""
    if not folder.is_dir():
        return []
    listing = audio_files.list_folder(folder)
    for sentence in listing.skipped:
        log.warning("skipped: %s", sentence)
    return listing.files


def _is_left_behind(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in NOT_LABELS


def _speaker(file: Path) -> str:
    return re.split("[_-]", file.stem)[0]
