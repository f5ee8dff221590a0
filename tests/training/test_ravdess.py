"""RAVDESS is read whole, or refused in one sentence."""

from pathlib import Path

import pytest

from training import ravdess
from training.commands import evaluate
from training.corpora import CorpusError
from training.settings import EvaluateSettings


def test_half_a_corpus_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the recordings there is a sentence that says how to fetch them."""
    assert evaluate(EvaluateSettings(recordings_dir=tmp_path, corpus="ravdess")) == 2

    assert (
        "holds 0 of the 1440 recordings of RAVDESS: fetch them with `moodwire data fetch ravdess`"
        in capsys.readouterr().err
    )
    with pytest.raises(CorpusError, match="RAVDESS has no label 'JOY'"):
        ravdess.read_clips(tmp_path, ("JOY",))
