"""EmoDB is read whole, or refused in one sentence."""

from pathlib import Path

import pytest

from training import emodb
from training.commands import evaluate
from training.corpora import CorpusError
from training.settings import EvaluateSettings

LABELS = ("ANG", "HAP", "NEU")


def test_clips_are_read_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Speaker, sex, sentence and label stand in the name; boredom and hidden files are left out."""
    names = ("03a01Wa.flac", "08b10Na.flac", "08b10L.flac")
    monkeypatch.setattr(emodb, "FILES", len(names))
    (tmp_path / "emodb" / "wav").mkdir(parents=True)
    for name in (*names, "._03a01Wa.flac", "README.md"):
        (tmp_path / "emodb" / "wav" / name).write_bytes(b"")

    clips = emodb.read_clips(tmp_path, LABELS)

    assert [(clip.speaker, clip.sex, clip.sentence, clip.label) for clip in clips] == [
        (3, "Male", "a01", "ANG"),
        (8, "Female", "b10", "NEU"),
    ]


def test_half_a_corpus_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the recordings there is a sentence that says how to fetch them."""
    assert evaluate(EvaluateSettings(recordings_dir=tmp_path, corpus="emodb")) == 2

    assert (
        "holds 0 of the 535 recordings of EmoDB: fetch them with `moodwire data fetch emodb`" in capsys.readouterr().err
    )
    with pytest.raises(CorpusError, match="EmoDB has no label 'JOY'"):
        emodb.read_clips(tmp_path, ("JOY",))


def test_the_real_corpus_has_ten_speakers(real_data_dir: Path) -> None:
    """EmoDB's three classes are those that its authors counted."""
    clips = emodb.read_clips(real_data_dir, LABELS)

    assert [sum(clip.label == label for clip in clips) for label in LABELS] == [127, 71, 79]
    assert {clip.speaker for clip in clips} == {3, *range(8, 17)}
