"""Settings of the training commands are read from the command line, and wrong ones are refused."""

from pathlib import Path
from typing import Any

import pytest

import moodwire
from training import fetch_archive
from training.settings import FETCHED, FetchSettings, TrainSettings


def test_recipe_and_corpus_are_named_without_a_flag() -> None:
    """`moodwire train NAME` and `moodwire data fetch NAME` take the name as it is; without one there is the default."""
    named = moodwire.read_settings("train", "train", TrainSettings, ["tiny", "--split", "leaky"])
    assert (named.recipe, named.split) == ("tiny", "leaky")
    assert moodwire.read_settings("train", "train", TrainSettings, []).recipe is None
    assert moodwire.read_settings("data fetch", "train", FetchSettings, ["ravdess"]).corpus == "ravdess"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"split": "random"}, "split is 'random'"),
        ({"split": "leaky", "bundle_dir": Path("b")}, "leave out bundle_dir"),
        ({"split": "sentences", "release": True}, "leave out bundle_dir and release"),
        ({"block": 0}, "block is 0: choose one from 1"),
    ],
)
def test_wrong_split_is_refused(wrong: dict[str, Any], reason: str) -> None:
    """An unknown split, and a bundle made of a split that only measures, are each a sentence."""
    with pytest.raises(ValueError, match=reason):
        TrainSettings(**wrong)


def test_an_unknown_corpus_cannot_be_fetched() -> None:
    """A corpus that has no fetch is a sentence."""
    with pytest.raises(ValueError, match="corpus is 'iemocap': choose one of crema-d, ravdess, emodb, prompts"):
        FetchSettings(corpus="iemocap")
    assert set(FETCHED) == {"crema-d", *fetch_archive.ARCHIVES}
