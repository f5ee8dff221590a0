"""RAVDESS is read actor by actor, or refused in one sentence."""

from itertools import product
from pathlib import Path

import pytest

from training import ravdess
from training.commands import evaluate
from training.corpora import CorpusError
from training.settings import EvaluateSettings


def record(folder: Path, actor: int, suffix: str = ".wav") -> None:
    """Write the 60 files of an actor, empty."""
    (folder / f"Actor_{actor:02}").mkdir(parents=True)
    kinds = [("01", "01"), *product(("02", "03", "04", "05", "06", "07", "08"), ("01", "02"))]
    for (emotion, intensity), statement, repetition in product(kinds, ("01", "02"), ("01", "02")):
        name = f"03-01-{emotion}-{intensity}-{statement}-{repetition}-{actor:02}{suffix}"
        (folder / f"Actor_{actor:02}" / name).write_bytes(b"")


@pytest.mark.parametrize(("place", "suffix"), [("ravdess", ".wav"), ("ravdess/speech", ".flac")])
def test_some_of_the_actors_are_enough(tmp_path: Path, place: str, suffix: str) -> None:
    """Each actor whose recordings are all there is read; calm and surprised, song and hidden files are left out."""
    for actor in (3, 4):
        record(tmp_path / place, actor, suffix)
    (tmp_path / place / "Actor_03" / f"._03-01-05-01-01-01-03{suffix}").write_bytes(b"")
    (tmp_path / place / "Actor_03" / f"03-02-05-01-01-01-03{suffix}").write_bytes(b"")

    clips = ravdess.read_clips(tmp_path, ("ANG", "HAP", "NEU"))

    assert len(clips) == 2 * (8 + 8 + 4)
    assert {(clip.speaker, clip.sex) for clip in clips} == {(3, "Male"), (4, "Female")}


def test_half_an_actor_is_refused(tmp_path: Path) -> None:
    """A recording that is missing is noticed."""
    record(tmp_path / "ravdess", 3)
    (tmp_path / "ravdess" / "Actor_03" / "03-01-05-01-01-01-03.wav").unlink()

    with pytest.raises(CorpusError, match="holds 59 of the 1440 recordings of RAVDESS, not 60 of each actor"):
        ravdess.read_clips(tmp_path, ("ANG",))


def test_an_empty_place_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the recordings there is a sentence that says how to fetch them."""
    assert evaluate(EvaluateSettings(recordings_dir=tmp_path, corpus="ravdess")) == 2

    error = capsys.readouterr().err
    assert "holds 0 of the 1440 recordings of RAVDESS" in error
    assert "fetch them with `moodwire data fetch ravdess`" in error
    with pytest.raises(CorpusError, match="RAVDESS has no label 'JOY'"):
        ravdess.read_clips(tmp_path, ("JOY",))
