"""A miniature corpus in CREMA-D's layout, spoken by nobody, and a cross-validation on it."""

import csv
import fcntl
import hashlib
from pathlib import Path
from typing import NamedTuple

import attrs
import numpy as np
import soundfile

from models.runtime import synthetic_clip
from training import commands
from training.settings import TrainSettings

SPEAKERS = (1001, 1002, 1019, 1020, 1037, 1038, 1055, 1056)
"""Two of each block."""
VOICES = {"ANG": 8_000, "HAP": 4_000, "NEU": 1_500, "SAD": 700}
"""How loud a label's clips are: enough for a network to tell them apart."""


class CrossValidated(NamedTuple):
    """The recipe `tiny`, trained with each block of speakers held out."""

    settings: TrainSettings
    """With which it was trained; they name recordings, run folders and bundle."""
    alone: Path
    """Bundle of the last block, written before any other was trained."""


def cross_validate(folder: Path) -> CrossValidated:
    """Train `tiny` with each block held out, all in a folder; of several processes, one does and the others wait."""
    folder.mkdir(exist_ok=True)
    settings = TrainSettings("tiny", folder / "data", folder / "runs", folder / "tiny", cross_validate=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "tiny").exists():
            write_corpus(settings.recordings_dir)
            alone = attrs.evolve(settings, bundle_dir=folder / "alone", cross_validate=False)
            assert commands.train(alone) == commands.train(settings) == 0
    return CrossValidated(settings, folder / "alone")


def write_corpus(data: Path) -> Path:
    """Write `crema-d` with 33 clips into a folder, and return that."""
    folder = data / "crema-d"
    (folder / "audio").mkdir(parents=True, exist_ok=True)  # a training that failed may have left it
    rows = [
        _record(folder, f"{speaker}_IEO_{label}_XX", np.random.default_rng(speaker + loudness))
        for speaker in SPEAKERS
        for label, loudness in VOICES.items()
    ]
    twin = _record(folder, "1001_TIE_HAP_XX", np.random.default_rng(0))
    rows.append({**twin, "duplicate_audio": 1})
    write_table(folder, rows)
    return data


def write_table(folder: Path, rows: list[dict[str, object]]) -> None:
    """Write clips.csv."""
    with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)


def _record(folder: Path, name: str, rng: np.random.Generator) -> dict[str, object]:
    speaker, sentence, label, _ = name.split("_")
    length = int(rng.integers(20_000, 56_000))
    voice = synthetic_clip(length) / 32_768 * VOICES[label] + rng.normal(0, 30, length)
    samples = np.rint(voice).astype(np.int16)
    soundfile.write(folder / "audio" / f"{name}.flac", samples, 16_000)
    return {
        "file": f"{name}.wav",
        "actor": speaker,
        "sex": "Female" if int(speaker) % 2 else "Male",
        "age": 20 + int(speaker) % 50,
        "sentence": sentence,
        "emotion": label,
        "level": "XX",
        "samples": length,
        "sha256": hashlib.sha256(samples.tobytes()).hexdigest(),
        "duplicate_audio": 0,
        **{f"voice_{emotion}": 2 + 3 * (emotion == label[0]) for emotion in "ADFHNS"},
    }
