"""What is said of the speakers of recordings is what was checked."""

from pathlib import Path

import msgspec
import pytest

from models import bundle
from models.bundle import Bundle
from training import strangers
from training.catalogue import Voice
from training.corpora import UNKNOWN, Clip, CorpusError
from training.strangers import Recordings

TAUGHT, STRANGER = Voice("crema-d", 1001), Voice("ravdess", 3)


@pytest.fixture
def made() -> Bundle:
    """Return the shipped bundle, which all speakers of CREMA-D have taught."""
    return bundle.load(bundle.find(bundle.DEFAULT))


def recordings(voices: list[Voice | str], unknown: int = 0) -> Recordings:
    """Return a clip of each of these voices, and some of which nobody knows who speaks."""
    clips = [
        Clip(
            path=Path(f"{number}.wav"),
            speaker=number,
            sex="",
            age=None,
            label="ANG",
            sentence="",
            intensity="",
            samples=None,
            sha256="",
            votes={},
        )
        for number in [*range(1, len(voices) + 1), *[UNKNOWN] * unknown]
    ]
    return Recordings("own", clips, dict(enumerate(voices, 1)), [])


NOT_KNOWN = (
    "2 clips. Who speaks in {} of them is not known: whether this model has heard them before is not known either, and "
    "there is no interval over speakers."
)
KNOWN = " Of the speakers that are known, 1 trained it: these figures say nothing about strangers."


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (recordings([STRANGER]), "1 clip of 1 speaker that this model never heard."),
        (recordings([STRANGER, Voice("emodb", 3)]), "2 clips of 2 speakers that this model never heard."),
        (
            recordings([TAUGHT, STRANGER]),
            "2 clips of 2 speakers. 1 of them trained this model, so these figures say nothing about strangers.",
        ),
        (
            recordings(["anna", STRANGER]),
            "2 clips of 2 speakers; whether this model has heard them before is not known.",
        ),
        (recordings([], unknown=2), NOT_KNOWN.format(2)),
        (recordings([TAUGHT], unknown=1), NOT_KNOWN.format(1) + KNOWN),
    ],
)
def test_never_heard_is_said_of_known_strangers_alone(made: Bundle, found: Recordings, said: str) -> None:
    """Speakers that trained the model, and speakers of whom nothing is known, are told as such."""
    assert strangers.who(found, made) == said


def test_a_manifest_without_speakers_proves_nothing(made: Bundle) -> None:
    """Nobody is a stranger to a model that does not tell who trained it."""
    silent = msgspec.structs.replace(made, manifest=msgspec.structs.replace(made.manifest, measured={}))

    assert "whether this model has heard them before is not known" in strangers.who(recordings([STRANGER]), silent)


def test_nothing_is_measured_on_labels_that_are_assumed(made: Bundle, tmp_path: Path) -> None:
    """The prompts only train: asked for by name they are refused, and beside other corpora they are passed over."""
    with pytest.raises(CorpusError, match="nothing can be measured on Asterisk's prompts, whose labels are assumed"):
        strangers.read(tmp_path, "prompts", made)
    (tmp_path / "prompts").mkdir()
    with pytest.raises(CorpusError, match="holds no recordings to measure on"):
        next(strangers.all_there(tmp_path, made))
