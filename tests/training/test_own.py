"""A stranger's own recordings become a model that a device hears with."""

import re
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
import soundfile

from models.bundle import load
from models.runtime import synthetic_clip
from training.commands import train
from training.settings import TrainSettings

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return twenty clips of five speakers, spoken by nobody: the tense ones are faster, with less noise."""
    for number in range(20):
        label, who, take = ("calm", "tense")[number % 2], "abcde"[number // 4], number % 4
        voice = synthetic_clip(40_000).astype(float)
        if label == "tense":
            voice = np.tile(voice[::2], 2)
        voice += np.random.default_rng(number).normal(0, 300 if label == "calm" else 20, len(voice))
        file = tmp_path / "my-folder" / label / who / f"{take}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, np.clip(np.rint(voice), -32_768, 32_767).astype(np.int16), 16_000)
    return tmp_path / "my-folder"


def test_twenty_clips_are_trained_exported_and_heard(
    folder: Path, write_recipe: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bundle tells speakers of whom it heard nobody, its card whose recordings these are, and a device runs it."""
    small = write_recipe("small", epochs=3, votes=0.0)  # type: ignore[operator]
    plain = TrainSettings(small, Path("nowhere"), tmp_path / "runs", corpus=str(folder), labels="calm,tense")

    assert train(plain) == 0

    made = load(Path(re.findall(r"wrote (.*)", capsys.readouterr().out)[0]))
    assert made.manifest.labels == ("CALM", "TENSE")
    assert made.manifest.measured["speakers"] == {"train": [10_001, 10_002, 10_003, 10_005], "test": [10_004]}
    card = (made.folder / "CARD.md").read_text()
    assert "calm (CALM) and tense (TENSE)" in card
    assert "my-folder, the clips of these classes. Recordings of one's own." in card
    assert "CREMA-D" not in card
    assert str(tmp_path) not in card + (made.folder / "manifest.json").read_text()

    heard = tmp_path / "heard"
    heard.mkdir()
    (heard / "1.wav").symlink_to(folder / "tense" / "d" / "1.wav")
    argv = ["device", "run", "--model", str(made.folder), "--clips", str(heard), "--mqtt-url", "mqtt://127.0.0.1:9"]
    state = ["--state-dir", str(tmp_path / "state")]
    done = subprocess.run(
        [sys.executable, "-m", "moodwire", *argv, *state], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "first reading" in done.stderr
    assert re.search(r"[1-9]\d* records? waits? in the outbox", done.stderr)


def test_one_voice_is_split_by_file(
    folder: Path, write_recipe: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nobody knows who speaks, files are held out if that is asked for, and the card says what that is worth."""
    for file in folder.glob("*/*/*.wav"):
        file.rename(file.parents[1] / f"{file.parent.name}{file.name}")
    small = write_recipe("small", epochs=1, votes=0.0)  # type: ignore[operator]
    leaky = TrainSettings(small, Path("nowhere"), tmp_path / "runs", tmp_path / "b", split="leaky", corpus=str(folder))

    assert train(leaky) == 2
    assert "calm is no label: name the folders ANG, HAP, NEU" in capsys.readouterr().err
    assert train(attrs.evolve(leaky, labels="calm,tense")) == 0
    assert "LEAKY: split at random by file" in (tmp_path / "b" / "CARD.md").read_text()
