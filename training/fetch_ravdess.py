"""Downloads the speech of RAVDESS: one archive from the authors' record. A download that was stopped is resumed."""

import hashlib
import re
import zipfile
from http import HTTPStatus
from pathlib import Path

from tqdm import tqdm

from common import files, urls
from training import download, ravdess
from training.corpora import CorpusError

NAME = "Audio_Speech_Actors_01-24.zip"
SOURCE = "https://zenodo.org/records/1188976/files"
MD5 = "bc696df654c87fed845eb13823edef8a"
"""As the authors' record states it."""
LICENCE = """RAVDESS: Ryerson Audio-Visual Database of Emotional Speech and Song, the speech.
Livingstone and Russo, PLoS ONE 13(5): e0196391, 2018.
Creative Commons Attribution-NonCommercial-ShareAlike 4.0 (https://creativecommons.org/licenses/by-nc-sa/4.0/): no
commercial use. Moodwire measures on it; a model trained on it could not be shipped."""
MEMBER = re.compile(r"(?:.*/)?(Actor_\d\d/03-01(?:-\d\d){5}\.wav)")
CHUNK = 1 << 16
"""Bytes written at once; of a connection that breaks, less than this is lost."""


def fetch(folder: Path, source: str = SOURCE) -> None:
    """Download and unpack the recordings, unless they are all there.

    Args:
        folder: gets a folder for each actor.
        source: URL of the folder that holds the archive.

    Raises:
        CorpusError: the archive cannot be downloaded, or is another than the official one.
    """
    if _complete(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / NAME
    if not archive.is_file():
        _download(f"{source.rstrip('/')}/{NAME}", archive)
    _unpack(archive, folder)
    archive.unlink()
    if not _complete(folder):
        raise CorpusError(f"{NAME} does not hold the {ravdess.FILES} recordings of RAVDESS, though its md5 is right")


def _complete(folder: Path) -> bool:
    return len(list(folder.glob("Actor_*/[!.]*.wav"))) == ravdess.FILES


def _download(url: str, archive: Path) -> None:
    part = archive.with_suffix(".part")
    try:
        _receive(url, part)
    except download.ERRORS as error:
        raise CorpusError(
            f"{urls.readable(url)} cannot be downloaded: {download.reason(error)}; "
            "what has arrived is kept: start again to go on"
        ) from error
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != MD5:
        size = part.stat().st_size
        part.unlink()
        raise CorpusError(
            f"{urls.readable(url)} gave {size} bytes with md5 {found}, the official archive has {MD5}; start again"
        )
    part.replace(archive)


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


def _unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as members:
        for name in tqdm(members.namelist(), unit="file", disable=None):
            if found := MEMBER.fullmatch(name):
                files.replace(folder / found[1], members.read(name))
