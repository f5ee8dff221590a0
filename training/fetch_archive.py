"""Downloads corpora that are one archive: RAVDESS and EmoDB. A download that was stopped is resumed."""

import hashlib
import re
import zipfile
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from common import files, urls
from training import download, emodb, ravdess
from training.corpora import CorpusError

CHUNK = 1 << 16
"""Bytes written at once; of a connection that breaks, less than this is lost."""


class Archive(NamedTuple):
    """A corpus as its authors publish it."""

    corpus: str
    """For people."""
    name: str
    """Of the archive's file."""
    source: str
    """URL of the folder that holds it."""
    md5: str
    """As the authors' record states it."""
    licence: str
    member: re.Pattern[str]
    """Of the recordings in it; the first group is the path that a recording gets."""
    recordings: Callable[[Path], list[Path]]
    """Takes `recordings_dir`, returns the recordings that are there."""
    files: int
    """How many recordings there are."""


ARCHIVES = {
    "ravdess": Archive(
        corpus="RAVDESS",
        name="Audio_Speech_Actors_01-24.zip",
        source="https://zenodo.org/records/1188976/files",
        md5="bc696df654c87fed845eb13823edef8a",
        licence="""RAVDESS: Ryerson Audio-Visual Database of Emotional Speech and Song, the speech.
Livingstone and Russo, PLoS ONE 13(5): e0196391, 2018.
Creative Commons Attribution-NonCommercial-ShareAlike 4.0 (https://creativecommons.org/licenses/by-nc-sa/4.0/): no
commercial use. Moodwire measures on it; a model trained on it could not be shipped.""",
        member=re.compile(r"(?:.*/)?(Actor_\d\d/03-01(?:-\d\d){5}\.wav)"),
        recordings=ravdess.recordings,
        files=ravdess.FILES,
    ),
    "emodb": Archive(
        corpus="EmoDB",
        name="emodb.zip",
        source="https://zenodo.org/records/7447302/files",
        md5="9d21362dbc5676ef3ab4745d83ced0db",
        licence="""EmoDB: Berlin Database of Emotional Speech, release 1.3.0.
Burkhardt, Paeschke, Rolfes, Sendlmeier and Weiss, Interspeech 2005.
Creative Commons CC0 1.0 by its own metadata, Attribution 4.0 by the record that it is downloaded from: name the
authors. Moodwire measures on it.""",
        member=re.compile(rf"(?:.*/)?(wav/{emodb.NAME.pattern}\.wav)"),
        recordings=emodb.recordings,
        files=emodb.FILES,
    ),
}


def fetch(archive: Archive, folder: Path, source: str | None = None) -> None:
    """Download and unpack the recordings of a corpus, unless they are all there.

    Args:
        archive: the corpus.
        folder: gets the recordings.
        source: URL of the folder that holds the archive; None for the authors' own.

    Raises:
        CorpusError: the archive cannot be downloaded, or is another than the official one.
    """
    if _complete(archive, folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / archive.name
    if not file.is_file():
        _download(archive, f"{(source or archive.source).rstrip('/')}/{archive.name}", file)
    _unpack(archive, file, folder)
    file.unlink()
    if not _complete(archive, folder):
        raise CorpusError(
            f"{archive.name} does not hold the {archive.files} recordings of {archive.corpus}, though its md5 is right"
        )


def _complete(archive: Archive, folder: Path) -> bool:
    return len(archive.recordings(folder.parent)) == archive.files


def _download(archive: Archive, url: str, file: Path) -> None:
    part = file.with_suffix(".part")
    try:
        _receive(url, part)
    except download.ERRORS as error:
        raise CorpusError(
            f"{urls.readable(url)} cannot be downloaded: {download.reason(error)}; "
            "what has arrived is kept: start again to go on"
        ) from error
    with part.open("rb") as content:
        found = hashlib.file_digest(content, "md5").hexdigest()
    if found != archive.md5:
        size = part.stat().st_size
        part.unlink()
        raise CorpusError(
            f"{urls.readable(url)} gave {size} bytes with md5 {found}, the official archive has {archive.md5}; "
            "start again"
        )
    part.replace(file)


def _receive(url: str, part: Path) -> None:
    """Append what is missing to a file, if the server can go on from its end; else write it anew."""
    size = part.stat().st_size if part.is_file() else 0
    headers = {"Range": f"bytes={size}-"} if size else {}
    with (
        download.session() as session,
        session.get(url, headers=headers, stream=True, timeout=download.TIMEOUT_S) as response,
    ):
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is there
        response.raise_for_status()
        begin = size if response.status_code == HTTPStatus.PARTIAL_CONTENT else 0
        total = begin + int(response.headers.get("Content-Length", 0))
        with (
            part.open("ab" if begin else "wb") as file,
            tqdm(total=total, initial=begin, unit="B", unit_scale=True, disable=None) as progress,
        ):
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                progress.update(len(chunk))


def _unpack(archive: Archive, file: Path, folder: Path) -> None:
    with zipfile.ZipFile(file) as members:
        for name in tqdm(members.namelist(), unit="file", disable=None):
            if found := archive.member.fullmatch(name):
                files.replace(folder / found[1], members.read(name))
