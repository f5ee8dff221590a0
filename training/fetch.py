"""Downloads corpora: CREMA-D's official release, laid out for training; RAVDESS is in `fetch_ravdess`.

Every recording is checked against its sha256, so it does not matter which server it came from. A file that is there and
right is not fetched again: a download that was stopped goes on.
"""

import csv
import hashlib
import http.client
import io
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import soundfile
from tqdm import tqdm

from training import fetch_ravdess
from training.corpora import EMOTIONS, CorpusError
from training.settings import FetchSettings

ASSETS = Path(__file__).parent / "assets"
SOURCES = (
    "https://media.githubusercontent.com/media/CheyneyComputerScience/CREMA-D/master/AudioWAV",
    "https://gitlab.com/cs-cooper-lab/crema-d-mirror/-/raw/main/AudioWAV",
)
"""The authors' repository, and the mirror that they name for when its quota is used up."""
VOTES_SOURCE = (
    "https://raw.githubusercontent.com/CheyneyComputerScience/CREMA-D/63f0471e4a7db8cec2b1aae42e732fe2792e978c/"
    "processedResults"
)
"""What people voted, in the authors' repository, as it is at one of its commits and stays."""
VOTES = "tabulatedVotes.csv"
VOICE_ALONE = "1"
"""With which the numbers of the rows of those begin who only heard the clip; others saw the face, or both."""
LICENCE = """CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset.
Cao, Cooper, Keutmann, Gur, Nenkova and Verma, IEEE Transactions on Affective Computing 5(4), 2014.
Open Database License 1.0 (https://opendatacommons.org/licenses/odbl/1-0/), contents under the Database Contents
License 1.0: cite the authors, and share what you derive from the database under the same licence."""
COLUMNS = (
    *("file", "actor", "sex", "age", "sentence", "emotion", "level", "samples", "sha256", "duplicate_audio"),
    *(f"voice_{emotion[0]}" for emotion in EMOTIONS),
)
"""Of clips.csv."""
DOWNLOADS = 8
"""Files fetched at the same time."""
TIMEOUT_S = 30


def fetch(settings: FetchSettings) -> int:
    """Carry out `moodwire data fetch`; return the exit code, 2 where a file does not come or is another."""
    folder = settings.recordings_dir / settings.corpus
    try:
        if settings.corpus == "ravdess":
            print(fetch_ravdess.LICENCE)
            fetch_ravdess.fetch(folder, settings.source or fetch_ravdess.SOURCE)
        else:
            print(LICENCE)
            listed = _listed(ASSETS / "crema-d.sha256")
            if settings.source:
                crema_d(folder, listed, [settings.source], settings.source)
            else:
                crema_d(folder, listed, SOURCES, VOTES_SOURCE)
    except CorpusError as error:
        print(f"moodwire data fetch: {error}", file=sys.stderr)
        return 2
    print(f"{folder} is complete")
    return 0


def crema_d(folder: Path, listed: dict[str, str], sources: Sequence[str], votes_source: str) -> None:
    """Fetch what is missing of the listed files and what people voted, and write the table of clips.

    Args:
        folder: gets `audio/`, `clips.csv` and the authors' table of votes.
        listed: sha256 of each file's content, by name.
        sources: addresses of folders that hold the files, in the order in which they are asked.
        votes_source: address of the folder that holds the table of votes.

    Raises:
        CorpusError: a file does not come, or is another than the official one.
    """
    audio = folder / "audio"
    audio.mkdir(parents=True, exist_ok=True)
    _fetch(
        folder / VOTES, [votes_source], lambda content: _votes(content).keys() >= {Path(name).stem for name in listed}
    )
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        jobs = [pool.submit(_fetch, audio / name, sources, _has(sha256)) for name, sha256 in listed.items()]
        try:
            for job in tqdm(jobs, unit="file", disable=None):
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)
    _write_table(folder, listed, _votes((folder / VOTES).read_bytes()))


def _has(sha256: str) -> Callable[[bytes], bool]:
    return lambda content: hashlib.sha256(content).hexdigest() == sha256


def _votes(content: bytes) -> dict[str, dict[str, str]]:
    """Return how many people heard each emotion in a clip, by the clip's name; nothing if this is another table."""
    columns = {f"voice_{emotion[0]}": emotion[0] for emotion in EMOTIONS}
    rows = csv.DictReader(io.StringIO(content.decode("utf-8", "replace")))
    if not {"", "fileName", *columns.values()} <= set(rows.fieldnames or ()):
        return {}
    heard = [row for row in rows if row[""].startswith(VOICE_ALONE)]
    return {row["fileName"]: {column: row[letter] for column, letter in columns.items()} for row in heard}


def _fetch(file: Path, sources: Sequence[str], right: Callable[[bytes], bool]) -> None:
    if file.is_file() and right(file.read_bytes()):
        return
    problems = []
    for source in sources:
        address = f"{source.rstrip('/')}/{file.name}"
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the user's own setting
                content = answer.read()
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            problems.append(f"{address}: {error}")
            continue
        if right(content):
            part = file.with_suffix(".part")
            part.write_bytes(content)
            part.replace(file)
            return
        problems.append(f"{address}: {len(content)} bytes that are not the official file")
    raise CorpusError(f"{file.name} cannot be had ({'; '.join(problems)}); what is there stays, start again to go on")


def _write_table(folder: Path, listed: dict[str, str], votes: Mapping[str, Mapping[str, str]]) -> None:
    with (ASSETS / "crema-d-actors.csv").open(encoding="utf-8", newline="") as file:
        actors = {row["actor"]: row for row in csv.DictReader(file)}
    times = Counter(listed.values())
    part = folder / "clips.csv.part"
    with part.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for name, sha256 in listed.items():
            actor, sentence, emotion, level = Path(name).stem.split("_")
            table.writerow(
                {
                    **actors[actor],
                    **votes[Path(name).stem],
                    "file": name,
                    "sentence": sentence,
                    "emotion": emotion,
                    "level": level,
                    "samples": soundfile.info(folder / "audio" / name).frames,
                    "sha256": sha256,
                    "duplicate_audio": int(times[sha256] > 1),
                }
            )
    part.replace(folder / "clips.csv")


def _listed(file: Path) -> dict[str, str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return {name: sha256 for sha256, name in (line.split("  ") for line in lines)}
