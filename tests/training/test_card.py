"""The model card is written by code, from the manifest."""

from pathlib import Path

import msgspec
import pytest

from models import bundle
from training import card

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
