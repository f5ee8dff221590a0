"""Anybody's recordings are read from a folder for each label, and a model is measured on them."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from models import bundle
from models.runtime import synthetic_clip
from training import corpora, folders
from training.commands import evaluate
from training.corpora import CorpusError
from training.settings import EvaluateSettings

LABELS = ("ANG", "HAP", "NEU")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a folder with two clips for each label, wav and FLAC, at two rates, of two speakers."""
    for label in LABELS:
        (tmp_path / "own" / label).mkdir(parents=True)
        soundfile.write(tmp_path / "own" / label / "anna_1.flac", synthetic_clip(30_000), 16_000)
        soundfile.write(tmp_path / "own" / label / "bert-1.WAV", np.repeat(synthetic_clip(30_000), 3), 48_000)
    return tmp_path / "own"


def test_clips_are_read_with_label_and_speaker(own: Path) -> None:
    """The folder gives the label, the name's beginning the speaker, and every clip is heard at 16 kHz."""
    clips = folders.read_clips(own, LABELS)

    assert [(clip.label, clip.speaker) for clip in clips] == [(label, who) for label in LABELS for who in (1, 2)]
    assert {len(corpora.read_audio(clip, 16_000)) for clip in clips} == {30_000}


def test_a_bundle_is_measured_on_them(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page names the folder and counts its clips and speakers, and what is unknown is not told."""
    assert evaluate(EvaluateSettings(corpus=str(own))) == 0

    page = capsys.readouterr().out
    assert f"# {bundle.load(bundle.find(bundle.DEFAULT)).manifest.name} on {own}" in page
    assert "6 clips of 2 speakers" in page
    assert re.search(r"\| unweighted average recall \(UAR\) \| \*\*\d\d\.\d%\*\*", page)
    assert "unknown" not in page


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda own: own.rename(own.with_name("other")), r"no corpus '.*own': give crema-d, ravdess, or a folder"),
        (lambda own: (own / "JOY").mkdir(), r"own/JOY is no label: name the folders ANG, HAP, NEU"),
        (lambda own: [file.unlink() for file in (own / "HAP").iterdir()], r"own/HAP holds no wav or FLAC file"),
    ],
)
def test_a_wrong_folder_is_told(own: Path, spoil: object, reason: str) -> None:
    """A missing folder, an unknown label and an empty label are each one sentence."""
    spoil(own)  # type: ignore[operator]

    with pytest.raises(CorpusError, match=reason):
        folders.read_clips(own, LABELS)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (np.zeros(20_000, np.int16), "is silent: no sample reaches"),
        (np.full(1_000, 99, np.int16), "is too short: 1000 samples"),
        (b"no audio", "cannot be read as audio"),
    ],
)
def test_a_useless_clip_is_named(
    own: Path, content: np.ndarray | bytes, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first clip in which nothing is to be heard, or that is no audio, ends the measurement with its name."""
    file = own / "NEU" / "anna_1.flac"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        soundfile.write(file, content, 16_000)

    assert evaluate(EvaluateSettings(corpus=str(own))) == 2

    error = capsys.readouterr().err
    assert f"{file} {reason}" in error
    assert len(error.splitlines()) == 1
