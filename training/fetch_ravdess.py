"""Downloads the speech of RAVDESS: one archive, from the authors' record, of which a stopped download goes on."""

import hashlib
import http
import http.client
import re
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from tqdm import tqdm

from training import ravdess
from training.corpora import CorpusError

NAME = "Audio_Speech_Actors_01-24.zip"
SOURCE = "https://zenodo.org/records/1188976/files"
MD5 = "bc696df654c87fed845eb13823edef8a"
"""As the record states it."""
LICENCE = """RAVDESS: Ryerson Audio-Visual Database of Emotional Speech and Song, the speech.
Livingstone and Russo, PLoS ONE 13(5): e0196391, 2018.
Creative Commons Attribution-NonCommercial-ShareAlike 4.0 (https://creativecommons.org/licenses/by-nc-sa/4.0/): no
commercial use. Moodwire measures on it; a model trained on it could not be shipped."""
MEMBER = re.compile(r"(?:.*/)?(Actor_\d\d/03-01(?:-\d\d){5}\.wav)")
TIMEOUT_S = 30
CHUNK = 1 << 18


def fetch(folder: Path, source: str = SOURCE) -> None:
    """Fetch and unpack the recordings, unless they are all there.

    Args:
        folder: gets a folder for each actor.
        source: address of the folder that holds the archive.

    Raises:
        CorpusError: the archive does not come, or is another than the official one.
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
    return len(list(folder.glob("Actor_*/*.wav"))) == ravdess.FILES


def _download(address: str, archive: Path) -> None:
    part = archive.with_suffix(".part")
    try:
        _receive(address, part)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise CorpusError(f"{address} cannot be had: {error}; what is there stays, start again to go on") from error
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != MD5:
        size = part.stat().st_size
        part.unlink()
        raise CorpusError(f"{address} gave {size} bytes with md5 {found}, the official archive has {MD5}; start again")
    part.replace(archive)


def _receive(address: str, part: Path) -> None:
    """Append to what is there of a download, if the server can go on from there; else begin anew."""
    there = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={there}-"} if there else {})  # noqa: S310 - the user's own setting
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is there
        raise
    with answer:
        goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        total = int(answer.headers.get("Content-Length", 0)) + there * goes_on
        with (
            part.open("ab" if goes_on else "wb") as file,
            tqdm(total=total, initial=there * goes_on, unit="B", unit_scale=True, disable=None) as progress,
        ):
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                progress.update(len(chunk))
            if file.tell() < total:
                raise http.client.IncompleteRead(b"", total - file.tell())


def _unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as members:
        for name in tqdm(members.namelist(), unit="file", disable=None):
            if told := MEMBER.fullmatch(name):
                file = folder / told[1]
                file.parent.mkdir(exist_ok=True)
                part = file.with_suffix(".part")
                part.write_bytes(members.read(name))
                part.replace(file)
