"""Reads recordings of your own: a folder for each label, with WAV, FLAC, OGG or MP3 files of any rate.

Who speaks is known of files with the names that CREMA-D, RAVDESS and EmoDB gave them, of CREMA-D's official files under
any name, and of files in a folder for each speaker: `ANG/anna/1.wav`.
"""

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


def read(folder: Path, labels: tuple[str, ...]) -> Recordings:
    """Return the clips with these labels; a file in which nothing is to be heard is passed over.

    Raises:
        CorpusError: the folder is missing, one of its folders is no label, or a label has no clips.
    """
    if not folder.is_dir():
        names = ", ".join(catalogue.CORPORA)
        raise CorpusError(f"no corpus {str(folder)!r}: give {names}, or a folder with one folder for each label")
    there = sorted(path.name for path in folder.iterdir() if path.is_dir() and not _is_left_behind(path))
    if unknown := [name for name in there if name not in labels]:
        raise CorpusError(f"{folder / unknown[0]} is no label: name the folders {', '.join(labels)}")
    passed_over: list[str] = []
    found = [pair for label in labels for pair in _recordings(folder / label, label, passed_over)]
    if missing := [label for label in labels if not any(clip.label == label for clip, _ in found)]:
        reasons = "".join(f"; {sentence}" for sentence in passed_over)
        raise CorpusError(
            f"{folder / missing[0]} holds no WAV or FLAC file that can be heard: give some of each of "
            f"{', '.join(labels)}{reasons}"
        )
    speakers = sorted({speaker for _, speaker in found if speaker is not None}, key=str)
    clips = [
        clip if speaker is None else msgspec.structs.replace(clip, speaker=speakers.index(speaker) + 1)
        for clip, speaker in found
    ]
    return Recordings(clips, speakers, passed_over)


def _recordings(folder: Path, label: str, passed_over: list[str]) -> Iterator[tuple[Clip, Voice | str | None]]:
    """Yield each clip of a label with its speaker; add a sentence to `passed_over` for each file that is left out."""
    names = _official_names()
    for file, place in _files(folder, passed_over):
        clip = _clip(file, label)
        try:
            corpora.read_audio(clip, RATE_HZ)
        except CorpusError as error:
            passed_over.append(f"skipped: {error}")
        else:
            yield clip, catalogue.voice(names.get(clip.sha256, file.stem)) or place


def _files(folder: Path, passed_over: list[str]) -> Iterator[tuple[Path, str | None]]:
    """Yield the audio files of a label, and the name of the folder of those that lie in one of their own."""
    if not folder.is_dir():
        return
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


def _clip(file: Path, label: str) -> Clip:
    return Clip(
        path=file,
        speaker=UNKNOWN,
        sex="",
        age=None,
        label=label,
        sentence="",
        intensity="",
        samples=None,
        sha256=sha256(file),
        votes={},
    )
