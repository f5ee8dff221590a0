"""Downloads corpora: CREMA-D's official release, laid out for training; RAVDESS is in `fetch_ravdess`.

Every file is checked against its sha256, so it does not matter which server it came from. A file that is there and
right is not fetched again: a download that was stopped goes on.
"""

import csv
import hashlib
import http.client
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
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
LICENCE = """CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset.
Cao, Cooper, Keutmann, Gur, Nenkova and Verma, IEEE Transactions on Affective Computing 5(4), 2014.
Open Database License 1.0 (https://opendatacommons.org/licenses/odbl/1-0/), contents under the Database Contents
License 1.0: cite the authors, and share what you derive from the database under the same licence."""
COLUMNS = (
    *("file", "actor", "sex", "age", "sentence", "emotion", "level", "samples", "sha256", "duplicate_audio"),
    *(f"voice_{emotion[0]}" for emotion in EMOTIONS),
)
"""Of clips.csv. People's votes are no part of the audio and stay empty."""
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
            crema_d(folder, _listed(ASSETS / "crema-d.sha256"), [settings.source] if settings.source else SOURCES)
    except CorpusError as error:
        print(f"moodwire data fetch: {error}", file=sys.stderr)
        return 2
    print(f"{folder} is complete")
    return 0


def crema_d(folder: Path, listed: dict[str, str], sources: Sequence[str]) -> None:
    """Fetch what is missing of the listed files, and write the table of clips.

    Args:
        folder: gets `audio/` and `clips.csv`.
        listed: sha256 of each file's content, by name.
        sources: addresses of folders that hold the files, in the order in which they are asked.

    Raises:
        CorpusError: a file does not come, or is another than the official one.
    """
    audio = folder / "audio"
    audio.mkdir(parents=True, exist_ok=True)
    missing = [name for name, sha256 in listed.items() if not _right(audio / name, sha256)]
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        jobs = [pool.submit(_fetch, audio / name, listed[name], sources) for name in missing]
        try:
            for job in tqdm(jobs, unit="file", disable=None):
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)
    _write_table(folder, listed)


def _fetch(file: Path, sha256: str, sources: Sequence[str]) -> None:
    problems = []
    for source in sources:
        address = f"{source.rstrip('/')}/{file.name}"
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the user's own setting
                content = answer.read()
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            problems.append(f"{address}: {error}")
            continue
        if hashlib.sha256(content).hexdigest() == sha256:
            part = file.with_suffix(".part")
            part.write_bytes(content)
            part.replace(file)
            return
        problems.append(f"{address}: {len(content)} bytes that are not the official file")
    raise CorpusError(f"{file.name} cannot be had ({'; '.join(problems)}); what is there stays, start again to go on")


def _write_table(folder: Path, listed: dict[str, str]) -> None:
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


def _right(file: Path, sha256: str) -> bool:
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == sha256
