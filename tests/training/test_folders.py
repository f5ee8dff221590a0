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
from training.catalogue import Voice
from training.commands import evaluate
from training.corpora import UNKNOWN, CorpusError
from training.settings import EvaluateSettings

LABELS = ("ANG", "HAP", "NEU")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a folder with two clips for each label, WAV and FLAC, at two rates, whose names tell no speaker."""
    for label in LABELS:
        (tmp_path / "own" / label).mkdir(parents=True)
        soundfile.write(tmp_path / "own" / label / "anna_1.flac", synthetic_clip(30_000), 16_000)
        soundfile.write(tmp_path / "own" / label / "bert-1.WAV", np.repeat(synthetic_clip(30_000), 3), 48_000)
    return tmp_path / "own"


def rename(own: Path, first: str, second: str) -> None:
    """Name the two clips of each label anew; `LABEL` and `EMOTION` stand for the label's code."""
    numbers = {"ANG": "05", "HAP": "03", "NEU": "01"}
    for label in LABELS:
        for old, new in (("anna_1.flac", first), ("bert-1.WAV", second)):
            file = own / label / new.replace("LABEL", label).replace("EMOTION", numbers[label])
            file.parent.mkdir(exist_ok=True)
            (own / label / old).rename(file)


def test_clips_are_read_with_their_labels(own: Path) -> None:
    """The folder gives the label, every clip is heard at 16 kHz, and names of no known corpus tell no speaker."""
    found = folders.read(own, LABELS)

    assert [(clip.label, clip.speaker) for clip in found.clips] == [
        (label, UNKNOWN) for label in LABELS for _ in range(2)
    ]
    assert {len(corpora.read_audio(clip, 16_000)) for clip in found.clips} == {30_000}
    assert found.speakers == []


@pytest.mark.parametrize(
    ("first", "second", "speakers"),
    [
        ("1001_IEO_LABEL_XX.flac", "1002_IEO_LABEL_XX.wav", [Voice("crema-d", 1001), Voice("crema-d", 1002)]),
        (
            "03-01-EMOTION-01-01-01-01.flac",
            "03-01-EMOTION-01-01-01-12.wav",
            [Voice("ravdess", 1), Voice("ravdess", 12)],
        ),
        ("03a01Wa.flac", "03b10Wb.wav", [Voice("emodb", 3)]),
        ("anna/1.flac", "bert/1.wav", ["anna", "bert"]),
    ],
)
def test_speakers_are_those_of_the_names(own: Path, first: str, second: str, speakers: list[Voice | str]) -> None:
    """A known corpus' own names tell the speaker; so does a folder for each speaker."""
    rename(own, first, second)

    found = folders.read(own, LABELS)

    assert found.speakers == speakers
    assert {clip.speaker for clip in found.clips} == set(range(1, len(speakers) + 1))


def test_an_official_file_is_known_under_any_name(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings of CREMA-D that were renamed are known by their sha256."""
    monkeypatch.setattr(folders, "OFFICIAL", tmp_path / "official.sha256")
    digest = corpora.sha256(own / "ANG" / "anna_1.flac")
    folders.OFFICIAL.write_text(f"{digest}  1001_IEO_ANG_XX.wav\n")

    assert folders.read(own, LABELS).speakers == [Voice("crema-d", 1001)]


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT", "DOUBLE"])
def test_every_format_is_heard_as_the_device_hears_it(own: Path, subtype: str) -> None:
    """A WAV file of floats, as editors write them, has the same samples as one of integers."""
    sound = synthetic_clip(30_000)
    soundfile.write(own / "NEU" / "anna_1.wav", sound / 32_768, 16_000, subtype)

    clips = [clip for clip in folders.read(own, LABELS).clips if clip.path.name == "anna_1.wav"]

    np.testing.assert_array_equal(corpora.read_audio(clips[0], 16_000), sound)


@pytest.mark.timeout(60)
def test_what_programs_leave_behind_is_no_recording(own: Path) -> None:
    """Hidden files and folders, pipes and devices are skipped with a sentence each, and no clip is lost."""
    for name in ("__MACOSX", ".stfolder", "HAP/.stfolder"):
        (own / name).mkdir()
    (own / "HAP" / "._anna_1.flac").write_bytes(b"Mac OS X")
    (own / "HAP" / "empty.wav").touch()
    (own / "HAP" / "device.wav").symlink_to("/dev/zero")
    (own / "HAP" / "loop.wav").symlink_to("loop.wav")
    os.mkfifo(own / "HAP" / "pipe.wav")

    found = folders.read(own, LABELS)

    assert len(found.clips) == 6
    assert len(found.passed_over) == 6
    assert all(sentence.startswith(f"skipped: '{own}/HAP/") for sentence in found.passed_over)


def test_a_bundle_is_measured_on_them(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page names the folder and says that nobody knows who speaks; it has no interval and no speakers."""
    assert evaluate(EvaluateSettings(corpus=str(own))) == 0

    page = capsys.readouterr().out
    assert f"# {bundle.load(bundle.find(bundle.DEFAULT)).manifest.name} on {own}" in page
    assert "6 clips. Who speaks in 6 of them is not known" in page
    assert re.search(r"\| unweighted average recall \(UAR\) \| \*\*\d\d\.\d%\*\* \|", page)
    assert "never heard" not in page
    assert "Of the speakers" not in page


def test_speakers_that_trained_the_model_are_no_strangers(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of training actors is told as such, with the interval over its speakers."""
    rename(own, "1001_IEO_LABEL_XX.flac", "1002_IEO_LABEL_XX.wav")

    assert evaluate(EvaluateSettings(corpus=str(own))) == 0

    page = capsys.readouterr().out
    assert "6 clips of 2 speakers. 2 of them trained this model, so these figures say nothing about strangers." in page
    assert "over speakers) |" in page
    assert "never heard" not in page


def test_strangers_are_counted_by_their_names(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two actors of RAVDESS are two speakers that a model taught by CREMA-D never heard."""
    rename(own, "03-01-EMOTION-01-01-01-01.flac", "03-01-EMOTION-01-01-01-12.wav")

    assert evaluate(EvaluateSettings(corpus=str(own))) == 0

    page = capsys.readouterr().out
    assert "6 clips of 2 speakers that this model never heard." in page
    assert re.search(r"Of the speakers, actor (1|12) of RAVDESS is understood worst", page)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (
            lambda own: own.rename(own.with_name("other")),
            r"no corpus '.*own': give crema-d, ravdess, ravdess-song, emodb, prompts, or",
        ),
        (lambda own: (own / "JOY").mkdir(), r"own/JOY is no label: name the folders ANG, HAP, NEU"),
        (
            lambda own: [file.unlink() for file in (own / "HAP").iterdir()],
            r"own/HAP holds no WAV or FLAC file that",
        ),
    ],
)
def test_a_wrong_folder_is_told(own: Path, spoil: object, reason: str) -> None:
    """A missing folder, an unknown label and an empty label are each one sentence."""
    spoil(own)  # type: ignore[operator]

    with pytest.raises(CorpusError, match=reason):
        folders.read(own, LABELS)


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
def test_a_useless_clip_is_passed_over(
    own: Path, content: np.ndarray | bytes, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clip in which nothing is to be heard, or that is no audio, is named and does not end the measurement."""
    file = own / "NEU" / "anna_1.flac"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        soundfile.write(file, content, 16_000)

    assert evaluate(EvaluateSettings(corpus=str(own))) == 0

    output = capsys.readouterr()
    assert f"skipped: '{file}' {reason}" in output.err or f"skipped: {file} {reason}" in output.err
    assert len(output.err.splitlines()) == 1
    assert "5 clips." in output.out
    assert "Passed over: 1 of the files." in output.out


def test_a_label_of_which_nothing_is_left_is_told(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If all clips of a label are passed over, one sentence says which and why."""
    for file in (own / "NEU").iterdir():
        file.write_bytes(b"")

    assert evaluate(EvaluateSettings(corpus=str(own))) == 2

    error = capsys.readouterr().err
    assert "NEU holds no WAV or FLAC file that can be heard" in error
    assert "is empty" in error
