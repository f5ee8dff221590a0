"""Downloads CREMA-D's official release and lays it out for training; `fetch_archive` downloads other corpora.

Every recording is checked against its sha256, so any server will do. A file that is there with the right content is not
downloaded again, so a command that was stopped goes on where it was.
"""

import csv
import hashlib
import io
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from tqdm import tqdm

from common import files, urls
from common.audio_files import AudioFile
from training import download, fetch_archive
from training.corpora import EMOTIONS, CorpusError
from training.settings import FetchSettings

ASSETS = Path(__file__).parent / "assets"
SOURCES = (
    "https://media.githubusercontent.com/media/CheyneyComputerScience/CREMA-D/master/AudioWAV",
    "https://gitlab.com/cs-cooper-lab/crema-d-mirror/-/raw/main/AudioWAV",
)
"""The authors' repository, and the mirror that they name for the time when its quota is used up."""
VOTES_SOURCE = (
    "https://raw.githubusercontent.com/CheyneyComputerScience/CREMA-D/63f0471e4a7db8cec2b1aae42e732fe2792e978c/"
    "processedResults"
)
"""The table of votes in the authors' repository, at a commit, so that it stays as it is."""
VOTES = "tabulatedVotes.csv"
VOICE_ALONE = "1"
"""First digit of a row's number: these people only heard the clip; others saw the face, or both."""
LICENCE = """CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset.
Cao, Cooper, Keutmann, Gur, Nenkova and Verma, IEEE Transactions on Affective Computing 5(4), 2014.
Open Database License 1.0 (https://opendatacommons.org/licenses/odbl/1-0/), contents under the Database Contents
License 1.0: cite the authors, and share what you derive from the database under the same licence."""
TABLE_COLUMNS = (
    *("file", "actor", "sex", "age", "sentence", "emotion", "level", "samples", "sha256", "duplicate_audio"),
    *(f"voice_{emotion[0]}" for emotion in EMOTIONS),
)
"""Of clips.csv."""
DOWNLOADS = 8
"""Files downloaded at the same time."""


def fetch(settings: FetchSettings) -> int:
    """Carry out `moodwire data fetch`; return the exit code, 2 where a file cannot be downloaded or is another."""
    folder = settings.recordings_dir / settings.corpus
    try:
        if archives := fetch_archive.ARCHIVES.get(settings.corpus):
            for archive in archives:
                print(archive.licence)
                fetch_archive.fetch(archive, folder, settings.source)
        else:
            print(LICENCE)
            checksums = _read_checksums(ASSETS / "crema-d.sha256")
            if settings.source:
                crema_d(folder, checksums, [settings.source], settings.source)
            else:
                crema_d(folder, checksums, SOURCES, VOTES_SOURCE)
    except CorpusError as error:
        print(f"moodwire data fetch: {error}", file=sys.stderr)
        return 2
    print(f"{folder} is complete")
    return 0


def crema_d(folder: Path, checksums: dict[str, str], sources: Sequence[str], votes_source: str) -> None:
    """Download the recordings that are missing and the table of votes, and write the table of clips.

    Args:
        folder: gets `audio/`, `clips.csv` and the authors' table of votes.
        checksums: sha256 of each recording, by name of its file.
        sources: URLs of folders that hold the recordings, in the order in which they are asked.
        votes_source: URL of the folder that holds the table of votes.

    Raises:
        CorpusError: a file cannot be downloaded, or is another than the official one.
    """
    audio = folder / "audio"
    audio.mkdir(parents=True, exist_ok=True)
    clips = {Path(name).stem for name in checksums}
    with download.session() as session, ThreadPoolExecutor(DOWNLOADS) as pool:
        _fetch(session, folder / VOTES, [votes_source], lambda content: _votes(content).keys() >= clips)
        jobs = [
            pool.submit(_fetch, session, audio / name, sources, _has_sha256(sha256))
            for name, sha256 in checksums.items()
        ]
        try:
            for job in tqdm(jobs, unit="file", disable=None):
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)
    _write_table(folder, checksums, _votes((folder / VOTES).read_bytes()))


def _has_sha256(sha256: str) -> Callable[[bytes], bool]:
    return lambda content: hashlib.sha256(content).hexdigest() == sha256


def _votes(content: bytes) -> dict[str, dict[str, str]]:
    """Return how many people heard each emotion in a clip, by the clip's name; nothing if it is another table."""
    columns = {f"voice_{emotion[0]}": emotion[0] for emotion in EMOTIONS}
    rows = csv.DictReader(io.StringIO(content.decode("utf-8", "replace")))
    if not {"", "fileName", *columns.values()} <= set(rows.fieldnames or ()):
        return {}
    heard = [row for row in rows if row[""].startswith(VOICE_ALONE)]
    return {row["fileName"]: {column: row[letter] for column, letter in columns.items()} for row in heard}


def _fetch(session: requests.Session, file: Path, sources: Sequence[str], is_official: Callable[[bytes], bool]) -> None:
    if file.is_file() and is_official(file.read_bytes()):
        return
    problems = []
    for source in sources:
        url = f"{source.rstrip('/')}/{file.name}"
        try:
            response = session.get(url, timeout=download.TIMEOUT_S)
            response.raise_for_status()
        except download.ERRORS as error:
            problems.append(f"{urls.readable(url)}: {download.reason(error)}")
            continue
        if is_official(response.content):
            files.replace(file, response.content)
            return
        problems.append(f"{urls.readable(url)}: {len(response.content)} bytes that are not the official file")
    raise CorpusError(
        f"{file.name} cannot be downloaded ({'; '.join(problems)}); the other files are kept: start again to go on"
    )


def _write_table(folder: Path, checksums: dict[str, str], votes: Mapping[str, Mapping[str, str]]) -> None:
    with (ASSETS / "crema-d-actors.csv").open(encoding="utf-8", newline="") as file:
        actors = {row["actor"]: row for row in csv.DictReader(file)}
    times = Counter(checksums.values())
    text = io.StringIO()
    table = csv.DictWriter(text, TABLE_COLUMNS)
    table.writeheader()
    for name, sha256 in checksums.items():
        actor, sentence, emotion, level = Path(name).stem.split("_")
        table.writerow(
            {
                **actors[actor],
                **votes[Path(name).stem],
                "file": name,
                "sentence": sentence,
                "emotion": emotion,
                "level": level,
                "samples": _samples(folder / "audio" / name),
                "sha256": sha256,
                "duplicate_audio": int(times[sha256] > 1),
            }
        )
    files.replace(folder / "clips.csv", text.getvalue().encode())


def _samples(recording: Path) -> int:
    """Return the length of an official recording."""
    with AudioFile(recording) as file:
        return file.frames


def _read_checksums(file: Path) -> dict[str, str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return {name: sha256 for sha256, name in (line.split("  ") for line in lines)}
