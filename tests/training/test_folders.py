"""Anybody's recordings are read from a folder for each label, and a model is measured on them."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from wav_files import wav

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


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT", "DOUBLE"])
def test_every_format_is_heard_as_the_device_hears_it(own: Path, subtype: str) -> None:
    """A WAV file of floats, as editors write them, has the same samples as one of integers."""
    sound = synthetic_clip(30_000)
    soundfile.write(own / "NEU" / "anna_1.wav", sound / 32_768, 16_000, subtype)

    clips = [clip for clip in folders.read_clips(own, LABELS) if clip.path.name == "anna_1.wav"]

    np.testing.assert_array_equal(corpora.read_audio(clips[0], 16_000), sound)


@pytest.mark.timeout(60)
def test_what_programs_leave_behind_is_no_recording(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Hidden files and folders, pipes and devices are skipped with a sentence each, and no clip is lost."""
    for name in ("__MACOSX", ".stfolder", "HAP/folder.wav"):
        (own / name).mkdir()
    (own / "HAP" / "._anna_1.flac").write_bytes(b"Mac OS X")
    (own / "HAP" / "empty.wav").touch()
    (own / "HAP" / "device.wav").symlink_to("/dev/zero")
    (own / "HAP" / "loop.wav").symlink_to("loop.wav")
    os.mkfifo(own / "HAP" / "pipe.wav")

    clips = folders.read_clips(own, LABELS)

    assert len(clips) == 6
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 6
    assert all(sentence.startswith(f"skipped: '{own}/HAP/") for sentence in told)


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
        (lambda own: [file.unlink() for file in (own / "HAP").iterdir()], r"own/HAP holds no WAV or FLAC file"),
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
        (b"no audio", "is not audio that libsndfile can read"),
        (np.repeat([[3_000, -3_000]], 20_000, axis=0).astype(np.int16), "has two channels out of phase"),
        (wav(synthetic_clip(20_000), rate_hz=1), "has a sample rate of 1 Hz by its header"),
        (wav(synthetic_clip(20_000))[:20_000], "is cut short"),
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
    assert f"{file}' {reason}" in error or f"{file} {reason}" in error
    assert len(error.splitlines()) == 1
