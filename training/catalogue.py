"""The corpora that moodwire knows: how they are read, and who speaks in a recording by its file's name."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from models.bundle import Manifest
from training import corpora, emodb, ravdess
from training.corpora import EMOTIONS, Clip

TAUGHT_BY = "crema-d"
"""The only corpus that `moodwire train` reads."""


class Corpus(NamedTuple):
    """A corpus of emotional speech."""

    title: str
    language: str
    read: Callable[[Path, tuple[str, ...]], list[Clip]]
    """Takes `recordings_dir` and the wanted labels."""
    name: re.Pattern[str]
    """Of its files, without their ending; the group `speaker` is the speaker's number."""
    left_out: str = ""
    """Emotions that no model has a label for."""


class Voice(NamedTuple):
    """A speaker of a known corpus."""

    corpus: str
    """A key of `CORPORA`."""
    speaker: int


CORPORA = {
    TAUGHT_BY: Corpus(
        "CREMA-D",
        "English",
        corpora.read_clips,
        re.compile(rf"(?P<speaker>1\d{{3}})_[A-Z]{{3}}_(?:{'|'.join(EMOTIONS)})_(?:LO|MD|HI|XX?)"),
    ),
    "ravdess": Corpus("RAVDESS", "English", ravdess.read_clips, ravdess.NAME, "calm and surprised"),
    "emodb": Corpus("EmoDB", "German", emodb.read_clips, emodb.NAME, "boredom"),
}


def voice(stem: str) -> Voice | None:
    """Return who speaks in a recording by the name of its file; None if that is the name of no known corpus."""
    for name, corpus in CORPORA.items():
        if found := corpus.name.fullmatch(stem):
            return Voice(name, int(found["speaker"]))
    return None


def taught_by(manifest: Manifest) -> set[Voice] | None:
    """Return the speakers that trained a model; None if its manifest does not name them."""
    if "speakers" not in manifest.measured:
        return None
    return {Voice(TAUGHT_BY, speaker) for speaker in manifest.measured["speakers"]["train"]}
