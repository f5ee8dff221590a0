"""Reads recordings of your own: WAV, FLAC, OGG or MP3 files of any rate, in a folder for each label or in a table.

Who speaks is known of files with the names that CREMA-D, RAVDESS and EmoDB gave them, of CREMA-D's official files under
any name, of files in a folder for each speaker: `ANG/anna/1.wav`, and where a table tells it. A table is a CSV file
with the columns `file` (its path from the table), `label` and, if known, `speaker` and `sex` (F or M).
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from common import audio_files
from training import catalogue, corpora
from training.catalogue import Voice
from training.corpora import UNKNOWN, Clip, CorpusError, sha256

NOT_LABELS = ("__MACOSX",)
"""Folders that programs leave behind, besides hidden ones."""
RATE_HZ = 16_000
OFFICIAL = Path(__file__).parent / "assets" / "crema-d.sha256"
"""sha256 and name of each recording of CREMA-D."""


class Recordings(NamedTuple):
    """What a folder holds."""

    clips: list[Clip]
    """Label by label; a clip's `speaker` is the place in `speakers`, from 1, or `UNKNOWN`."""
    speakers: list[Voice | str]
    """Speakers of known corpora, and the names of the folders of others."""
    passed_over: list[str]
    """A sentence for each file that was left out."""


def read(place: Path, labels: tuple[str, ...]) -> Recordings:
    """Return the clips with these labels, in any case; a file in which nothing is to be heard is passed over.

    Args:
        place: the folder, or the table.
        labels: in capitals.

    Raises:
        CorpusError: it is missing or not valid, it has another label, or a label has no clips.
    """
    passed_over: list[str] = []
    if place.suffix == ".csv":
        found = list(_listed(place, labels, passed_over))
    else:
        there = _labelled(place, labels)
        found = [
            pair for label in labels for folder in there.get(label, []) for pair in _recordings(folder, passed_over)
        ]
    if missing := [label for label in labels if not any(clip.label == label for clip, _ in found)]:
        reasons = "".join(f"; {sentence}" for sentence in passed_over)
        raise CorpusError(
            f"{place / missing[0]} holds no WAV or FLAC file that can be heard: give some of each of "
            f"{', '.join(labels)}{reasons}"
        )
    speakers = sorted({speaker for _, speaker in found if speaker is not None}, key=str)
    clips = [
        clip if speaker is None else msgspec.structs.replace(clip, speaker=speakers.index(speaker) + 1)
        for clip, speaker in found
    ]
    return Recordings(clips, speakers, passed_over)


def labels_of(place: Path) -> tuple[str, ...]:
    """Return the labels that a folder or a table has, in capitals.

    Raises:
        CorpusError: it is missing or not valid.
    """
    if place.suffix == ".csv":
        return tuple(sorted({row["label"].upper() for row in _rows(place)}))
    return tuple(sorted({path.name.upper() for path in _folders(place)}))


def _folders(place: Path) -> list[Path]:
    if not place.is_dir():
        names = ", ".join(catalogue.CORPORA)
        raise CorpusError(
            f"no corpus {str(place)!r}: give {names}, or a folder with one folder for each label, or a CSV file"
        )
    return sorted(path for path in place.iterdir() if path.is_dir() and not _is_left_behind(path))


def _labelled(place: Path, labels: tuple[str, ...]) -> dict[str, list[Path]]:
    """Return the folders of each label."""
    folders: dict[str, list[Path]] = {}
    for folder in _folders(place):
        if folder.name.upper() not in labels:
            raise CorpusError(f"{folder} is no label: name the folders {', '.join(labels)}")
        folders.setdefault(folder.name.upper(), []).append(folder)
    return folders


def _rows(table: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{table} cannot be read: {error}; give a CSV file in UTF-8") from error
    if not rows or not {"file", "label"} <= rows[0].keys():
        raise CorpusError(f"{table} lists no recordings: give a row for each, with the columns file and label")
    for line, row in enumerate(rows, 2):
        if not (row["file"] and row["label"]):
            raise CorpusError(f"{table} line {line} lacks its file or its label: give both")
    return rows


def _listed(table: Path, labels: tuple[str, ...], passed_over: list[str]) -> Iterator[tuple[Clip, Voice | str | None]]:
    """Yield each clip of a table with its speaker."""
    for row in _rows(table):
        if row["label"].upper() not in labels:
            raise CorpusError(f"{table} has the label {row['label']!r}: name them {', '.join(labels)}")
        file = table.parent / row["file"]
        if not file.is_file():
            raise CorpusError(f"{table} lists {row['file']!r}, which is not there: name files by their path from it")
        sex = corpora.SEXES.get((row.get("sex") or "")[:1].upper(), "")
        if clip := _heard(file, row["label"].upper(), sex, passed_over):
            yield clip, catalogue.voice(file.stem) or row.get("speaker") or None


def _recordings(folder: Path, passed_over: list[str]) -> Iterator[tuple[Clip, Voice | str | None]]:
    """Yield each clip of a label with its speaker; add a sentence to `passed_over` for each file that is left out."""
    names = _official_names()
    for file, place in _files(folder, passed_over):
        if clip := _heard(file, folder.name.upper(), "", passed_over):
            yield clip, catalogue.voice(names.get(clip.sha256, file.stem)) or place


def _heard(file: Path, label: str, sex: str, passed_over: list[str]) -> Clip | None:
    """Return a file as a clip, unless there is nothing to be heard in it."""
    clip = _clip(file, label, sex)
    try:
        corpora.read_audio(clip, RATE_HZ)
    except CorpusError as error:
        passed_over.append(f"skipped: {error}")
        return None
    return clip


def _files(folder: Path, passed_over: list[str]) -> Iterator[tuple[Path, str | None]]:
    """Yield the audio files of a label, and the name of the folder of those that lie in one of their own."""
    places = sorted(path for path in folder.iterdir() if path.is_dir() and not _is_left_behind(path))
    for place in (folder, *places):
        listing = audio_files.list_folder(place)
        read_later = tuple(repr(audio_files.printable(path)) for path in places if place == folder)
        passed_over += [f"skipped: {sentence}" for sentence in listing.skipped if not sentence.startswith(read_later)]
        for file in listing.files:
            yield file, None if place == folder else place.name


def _official_names() -> dict[str, str]:
    """Return the names of CREMA-D's official files, without their ending, by their sha256."""
    lines = OFFICIAL.read_text(encoding="utf-8").splitlines()
    return {digest: Path(name).stem for digest, name in (line.split("  ") for line in lines)}


def _is_left_behind(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in NOT_LABELS


def _clip(file: Path, label: str, sex: str) -> Clip:
    return Clip(
        path=file,
        speaker=UNKNOWN,
        sex=sex,
        label=label,
        sentence="",
        sha256=sha256(file),
    )
