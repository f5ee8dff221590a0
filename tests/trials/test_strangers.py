"""The trials of rooms and of streams call nobody a stranger who taught the model."""

from pathlib import Path

import msgspec
import pytest

from models import bundle
from models.bundle import Bundle
from training.corpora import Clip
from trials import rooms, streams

CREMA_D, EMODB = (1001, 1055), (203, 212)
"""Two speakers of each, of its first and its last block."""


def taught(held_out: tuple[int, ...]) -> Bundle:
    """Return a bundle that CREMA-D and EmoDB taught; of a release nobody was held out."""
    made = bundle.load(bundle.find(bundle.DEFAULT))
    measured = {
        "corpora": {name: {"title": title} for name, title in (("crema-d", "CREMA-D"), ("emodb", "EmoDB"))},
        "split": "speakers" if held_out else "release",
        "speakers": {"train": [one for one in (*CREMA_D, *EMODB) if one not in held_out], "test": held_out},
    }
    return msgspec.structs.replace(made, manifest=msgspec.structs.replace(made.manifest, measured=measured))


def clips(*speakers: int) -> list[Clip]:
    """Return a clip of each."""
    silent = {"sex": "", "age": None, "sentence": "", "intensity": "", "samples": None, "sha256": "", "votes": {}}
    return [Clip(path=Path("a.wav"), speaker=speaker, label="NEU", **silent) for speaker in speakers]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("held_out", "corpus", "of_rooms", "of_streams"),
    [
        ((), "crema-d", (CREMA_D, "CREMA-D, which trained it"), (CREMA_D[1:], "who trained it")),
        ((), "emodb", (EMODB, "EmoDB, which trained it"), (EMODB[1:], "who trained it")),
        ((1055,), "crema-d", ((1055,), "CREMA-D, unheard"), ((1055,), "it never heard")),
        ((1055,), "emodb", (EMODB, "EmoDB, which trained it"), (EMODB[1:], "who trained it")),
        ((1001, 203), "emodb", ((203,), "EmoDB, unheard"), ((203,), "it never heard")),
        ((), "ravdess", ((1, 5), "RAVDESS"), ((1, 5), "it never heard")),
    ],
)
def test_who_taught_a_model_is_no_stranger(
    held_out: tuple[int, ...],
    corpus: str,
    of_rooms: tuple[tuple[int, ...], str],
    of_streams: tuple[tuple[int, ...], str],
) -> None:
    """Of a corpus that taught it, a fold has the speakers that it held out, and a release none."""
    there = clips(*{"crema-d": CREMA_D, "emodb": EMODB, "ravdess": (1, 5)}[corpus])

    for trial, expected in ((rooms, of_rooms), (streams, of_streams)):
        found, title = trial.strangers(corpus, there, taught(held_out))
        assert (tuple(clip.speaker for clip in found), title) == expected
