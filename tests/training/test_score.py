"""Predictions of trained models: their scores, and how they are kept in run folders."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from models import bundle
from models.bundle import Bundle, BundleError
from training import elsewhere, score
from training.backgrounds import BACKGROUNDS
from training.corpora import Clip


def test_predictions_of_another_version_are_refused(tmp_path: Path) -> None:
    """Predictions that lack an array, and missing ones, are named with what to do."""
    with pytest.raises(BundleError, match=r"answers.npz cannot be read: .*; delete it, and `moodwire train` scores"):
        score.load(tmp_path)
    np.savez(tmp_path / score.FILE, scores=np.zeros((1, 3)))
    with pytest.raises(BundleError, match=r"answers.npz cannot be read"):
        score.load(tmp_path)


def test_each_corpus_has_a_score_of_its_own() -> None:
    """Of two corpora each is scored; what models are compared by is of CREMA-D alone, which has listeners and peers."""
    truth = np.array([0, 0, 1, 1] * 2)
    answers = np.eye(2)[[0, 0, 1, 1, 0, 1, 1, 0]]
    words = np.full(8, "X")
    speakers = np.repeat([1001, 203], 4)
    predicted = score.Predictions(answers, truth, speakers, words, words, words, words, words)

    told = score.describe(predicted, ("ANG", "NEU"))
    alone = score.describe(predicted._replace(speakers=np.full(8, 1001)), ("ANG", "NEU"))
    others = score.describe(predicted._replace(speakers=np.repeat([1, 203], 4)), ("ANG", "NEU"))

    assert (told["uar"], told["confusion"], list(told["uar_by_speaker"])) == (1.0, [[2, 0], [0, 2]], ["1001"])
    assert score.sure(predicted, 0.5) == {"share": 1.0, "accuracy": 1.0}
    assert (alone["uar"], others["uar"]) == (0.75, 0.75)
    assert told["uar_by_corpus"] == {"CREMA-D": 1.0, "EmoDB": 0.5}
    assert "uar_by_corpus" not in alone


def test_each_corpus_has_the_figures_of_its_own_speakers() -> None:
    """Of two models that heard each clip amid each background, recall and clips are those of one corpus alone."""
    windows = 2 * len(BACKGROUNDS)
    truth = np.tile(np.repeat([0, 0, 1, 1] * 2, 1), windows)
    answers = np.eye(2)[np.tile([0, 0, 1, 1, 0, 1, 1, 0], windows)]
    speakers = np.tile(np.repeat([1001, 203], 4), windows)
    words = np.full(len(truth), "X")
    predicted = score.Predictions(answers, truth, speakers, words, words, words, words, words)

    found = elsewhere.of_folds(predicted, ("ANG", "NEU"), 0.5, seeds=2)

    assert {name: (row.own, row.clips, row.speakers, row.uar) for name, row in found.items()} == {
        "crema-d": (True, 4, 1, 1.0),
        "emodb": (True, 4, 1, 0.5),
    }


def test_unheard_speakers_are_those_of_any_corpus() -> None:
    """A fold holds out speakers of each corpus that teaches; where all of one have taught it, that is told."""
    made = bundle.load(bundle.find(bundle.DEFAULT))

    def fold(*held_out: int) -> Bundle:
        measured = {"split": "speakers", "speakers": {"train": [1019, 203], "test": list(held_out)}}
        return msgspec.structs.replace(made, manifest=msgspec.structs.replace(made.manifest, measured=measured))

    clips = [clip_of(speaker) for speaker in (203, 208)]

    assert score.unheard(clips, fold(1001, 208)) == clips[1:]
    with pytest.raises(BundleError, match="none of these speakers was held out"):
        score.unheard(clips, fold(1001))


def clip_of(speaker: int) -> Clip:
    """Return a clip of a speaker that holds nothing."""
    return Clip(
        path=Path("a.wav"),
        speaker=speaker,
        sex="",
        age=None,
        label="NEU",
        sentence="",
        intensity="",
        samples=None,
        sha256="",
        votes={},
    )
