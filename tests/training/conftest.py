"""A miniature corpus in CREMA-D's layout, spoken by nobody."""

import csv
import hashlib
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from models.runtime import synthetic_clip
from training import recipe
from training.settings import TrainSettings

SPEAKERS = (1001, 1002, 1019, 1020, 1037, 1038, 1055, 1056)
"""Two of each block."""
VOICES = {"ANG": 8_000, "HAP": 4_000, "NEU": 1_500, "SAD": 700}
"""How loud a label's clips are: enough for a network to tell them apart."""


@pytest.fixture
def recordings_dir(tmp_path: Path) -> Path:
    """Return a folder with a `crema-d` of 33 synthetic clips; the last one repeats another's audio under two labels."""
    folder = tmp_path / "data" / "crema-d"
    (folder / "audio").mkdir(parents=True)
    rows = [
        _record(folder, f"{speaker}_IEO_{label}_XX", np.random.default_rng(speaker + loudness))
        for speaker in SPEAKERS
        for label, loudness in VOICES.items()
    ]
    twin = _record(folder, "1001_TIE_HAP_XX", np.random.default_rng(0))
    rows.append({**twin, "duplicate_audio": 1})
    write_table(folder, rows)
    return folder.parent


@pytest.fixture
def settings(recordings_dir: Path, tmp_path: Path) -> TrainSettings:
    """Return settings that train the tiny recipe on the miniature corpus."""
    return TrainSettings(
        recipe="tiny",
        recordings_dir=recordings_dir,
        runs_dir=tmp_path / "runs",
        bundle_dir=tmp_path / "tiny",
        cross_validate=True,
    )


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes `tiny` with changes, tables merged, to `<name>.toml`, and returns its path."""

    def write(name: str, **changes: Any) -> str:
        told = tomllib.loads((recipe.SHIPPED / "tiny.toml").read_text()) | {"name": name}
        for key, value in changes.items():
            told[key] = {**told.get(key, {}), **value} if isinstance(value, dict) else value
        tables = {key: value for key, value in told.items() if isinstance(value, dict)}
        lines = [f"{key} = {json.dumps(value)}" for key, value in told.items() if key not in tables]
        for table, values in tables.items():
            lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        path = tmp_path / f"{name}.toml"
        path.write_text("\n".join(lines))
        return str(path)

    return write


@pytest.fixture
def real_data_dir() -> Path:
    """Return the folder of the real recordings, where they are there."""
    folder = Path(__file__).parents[3] / "shared" / "data"
    if not (folder / "crema-d" / "clips.csv").is_file():
        pytest.skip("the recordings of CREMA-D do not lie beside the repository in ../shared/data")
    return folder


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
