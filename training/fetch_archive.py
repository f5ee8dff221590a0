"""Downloads corpora that are archives: RAVDESS, EmoDB, prompts. A download that was stopped is resumed."""

import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from common import files, urls
from training import download, emodb, prompts, ravdess
from training.corpora import CorpusError

CHUNK = 1 << 16
"""Bytes written at once; of a connection that breaks, less than this is lost."""


DEBIAN = b"!<arch>\n"
"""How a package of Debian begins (deb(5)): an archive of ar, whose members have a header of 60 bytes each."""


class Archive(NamedTuple):
    """A corpus, or a part of it, as its authors publish it."""

    corpus: str
    """For people."""
    name: str
    """Of the archive's file."""
    source: str
    """URL of the folder that holds it."""
    md5: str
    """As the authors' record states it."""
    licence: str
    path_of: Callable[[str], str | None]
    """Takes the name of a file in it, returns the path that it gets; None for what is no recording."""
    recordings: Callable[[Path], list[Path]]
    """Takes `recordings_dir`, returns the recordings that are there."""
    files: int
    """How many recordings there are."""


def _first_group(pattern: str) -> Callable[[str], str | None]:
    """Return what gives the first group of a pattern."""
    compiled = re.compile(pattern)

    def path_of(name: str) -> str | None:
        found = compiled.fullmatch(name)
        return found[1] if found else None

    return path_of


ARCHIVES = {
    "ravdess": (
        Archive(
            corpus="RAVDESS",
            name="Audio_Speech_Actors_01-24.zip",
            source="https://zenodo.org/records/1188976/files",
            md5="bc696df654c87fed845eb13823edef8a",
            licence="""RAVDESS: Ryerson Audio-Visual Database of Emotional Speech and Song, the speech.
Livingstone and Russo, PLoS ONE 13(5): e0196391, 2018.
Creative Commons Attribution-NonCommercial-ShareAlike 4.0 (https://creativecommons.org/licenses/by-nc-sa/4.0/): no
commercial use. Moodwire measures on it; a model trained on it could not be shipped.""",
            path_of=_first_group(r"(?:.*/)?(Actor_\d\d/03-01(?:-\d\d){5}\.wav)"),
            recordings=ravdess.recordings,
            files=ravdess.FILES,
        ),
    ),
    "emodb": (
        Archive(
            corpus="EmoDB",
            name="emodb.zip",
            source="https://zenodo.org/records/7447302/files",
            md5="9d21362dbc5676ef3ab4745d83ced0db",
            licence="""EmoDB: Berlin Database of Emotional Speech, release 1.3.0.
Burkhardt, Paeschke, Rolfes, Sendlmeier and Weiss, Interspeech 2005.
Creative Commons CC0 1.0 by its own metadata, Attribution 4.0 by the record that it is downloaded from: name the
authors.""",
            path_of=_first_group(rf"(?:.*/)?(wav/{emodb.NAME.pattern}\.wav)"),
            recordings=emodb.recordings,
            files=emodb.FILES,
        ),
    ),
    "prompts": tuple(
        Archive(
            corpus=f"the prompts in {language}",
            name=f"asterisk-core-sounds-{language}-wav_1.6.1-1_all.deb",
            source="https://deb.debian.org/debian/pool/main/a/asterisk-core-sounds",
            md5=md5,
            licence=f"asterisk-core-sounds 1.6.1, {language}: read by {reader}. Creative Commons {terms}.",
            path_of=prompts.path_of,
            recordings=partial(prompts.recordings, language=language),
            files=prompts.FILES[language],
        )
        for language, md5, reader, terms in (
            ("en", "2b3de0111251e3ac45be97e1a04b5a8f", "Allison Smith", "Attribution-ShareAlike 3.0"),
            ("es", "4ba5dadf338ca8edbd2d9f3f7ea4fbbb", "Allison Smith", "Attribution-ShareAlike 3.0"),
            ("fr", "fa676ae4db9616cf15491d3b33b18a3c", "June Wallack", "Attribution-ShareAlike 3.0"),
            ("it", "360065b1a67896e915571a5cfe0816c9", "Carlo Flora", "Attribution 3.0"),
            ("ru", "ab6cde935fa18160b1f72556989a89e3", "Maxim Topal's ivrvoice.ru", "Attribution 3.0"),
        )
    ),
}
"""Each is made of one archive or several."""


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
    for name, read in tqdm(_members(file), unit="file", disable=None):
        if path := archive.path_of(name):
            files.replace(folder / path, read())


def _members(file: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield the name of each file of an archive or a Debian package, and what reads it."""
    content = file.read_bytes() if file.suffix == ".deb" else b""
    if not content.startswith(DEBIAN):
        with zipfile.ZipFile(file) as members:
            for name in members.namelist():
                yield name, partial(members.read, name)
        return
    begin = len(DEBIAN)
    while begin < len(content):
        name, size = content[begin : begin + 16].decode().strip(), int(content[begin + 48 : begin + 58])
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(content[begin + 60 : begin + 60 + size])) as members:
                for member in members:
                    if (sound := members.extractfile(member)) is not None:
                        yield member.name, sound.read
        begin += 60 + size + size % 2
