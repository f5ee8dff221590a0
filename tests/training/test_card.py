"""The model card is written by code, from the manifest."""

from pathlib import Path

import msgspec
import pytest

from models import bundle
from training import card, catalogue, recipe

SHIPPED = sorted(path for path in bundle.SHIPPED.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda path: path.name)
def test_shipped_card_is_the_manifests(folder: Path) -> None:
    """No number in a shipped card was typed by hand: the manifest gives the same card again."""
    assert (folder / "CARD.md").read_text(encoding="utf-8") == card.render(bundle.load(folder).manifest)


@pytest.mark.parametrize(
    ("numbers", "text"), [([1, 2, 3], "1-3"), ([1, 2, 3, 7], "1-3, 7"), ([5], "5"), ([1, 3, 4], "1, 3-4")]
)
def test_runs_of_speakers_are_shortened(numbers: list[int], text: str) -> None:
    """A list of speakers is shown as ranges."""
    assert card._ranges(numbers) == text


TAUGHT = ("crema-d", "emodb", "prompts")


def test_a_card_names_the_terms_of_what_taught_it() -> None:
    """A model that learned from RAVDESS says so and forbids commercial use; CREMA-D is not named."""
    manifest = bundle.load(SHIPPED[0]).manifest
    terms = {"ravdess": {"title": "RAVDESS", "licence": "CC BY-NC-SA 4.0: no commercial use", "commercial": False}}
    measured = {**manifest.measured, "corpora": terms, "start": "six"}

    text = card.render(msgspec.structs.replace(manifest, measured=measured))

    assert "RAVDESS, the clips of these classes" in text
    assert "Livingstone and Russo" in text
    assert "CC BY-NC-SA 4.0: no commercial use." in text
    assert "whose licence allows no commercial use: use it for none" in text
    assert "It began as `six`, whose own card names what taught that." in text
    assert "Cao, Cooper" not in text
    assert "twelve fixed sentences" not in text


def test_a_card_tells_whose_voices_of_which_corpus_taught_it() -> None:
    """Speakers have their corpus' own numbers, a corpus of one label is told with it, and each language once."""
    manifest = bundle.load(SHIPPED[0]).manifest
    terms = {name: {"title": catalogue.CORPORA[name].title, "licence": "CC0", "commercial": True} for name in TAUGHT}
    measured = {
        **manifest.measured,
        "corpora": terms,
        "teachers": f"1 network of six-dense-2 and {recipe.WHISPER}",
        "speakers": {"train": [203, 208, 302, 1001, 1002], "test": []},
        "uar_by_corpus": {"CREMA-D": 0.8, "EmoDB": 0.9},
    }

    text = card.render(msgspec.structs.replace(manifest, measured=measured))

    assert (
        "taught by 1 network of six-dense-2 and Whisper tiny.en (Radford et al. 2023, MIT licence), that says" in text
    )
    assert "| EmoDB 3, 8; Asterisk's prompts 2; CREMA-D 1001-1002 | 5 |" in text
    assert "Asterisk's prompts, the clips of neutral speech: announcements" in text
    assert "EmoDB, the clips of these classes" in text
    assert "English, German, Spanish, French, Italian and Russian only, the voices" in text
    assert "| unweighted average recall (UAR) on CREMA-D, as all that follows | " in text
    assert "| UAR by corpus | CREMA-D 80.0%, EmoDB 90.0% |" in text
