"""Emotions and spans have one name and one colour each, for the plots and for the page."""

import ast
import re
from itertools import combinations
from pathlib import Path
from typing import get_args

import colours
import pytest
from clients import Client

from server.query.spans import SpanKind
from server.rest.palette import EMOTIONS, GROUND, INK, QUIET, SPANS, emotion

GROUNDS = {"light": ("#ffffff", "#f4f6f8"), "dark": (GROUND.dark, "#11171e")}
"""Cards and the page behind them."""
OTHERS = ["AWE", "BOREDOM", "CALM", "ENVY"]


@pytest.mark.parametrize("theme", GROUNDS)
def test_every_colour_stands_out(theme: str) -> None:
    """Emotions have at least 3:1 on their grounds, as graphics need it (WCAG 1.4.11), and text has 4.5:1."""
    for ground in GROUNDS[theme]:
        for label in [*EMOTIONS, *OTHERS]:
            colour = getattr(emotion(label, OTHERS).colour, theme)
            assert colours.contrast(colour, ground) >= 3, label
        assert colours.contrast(getattr(INK, theme), ground) >= 7
        assert colours.contrast(getattr(QUIET, theme), ground) >= 4.5


@pytest.mark.parametrize("sight", colours.SIGHTS)
@pytest.mark.parametrize("theme", GROUNDS)
def test_colour_blind_people_tell_emotions_apart(theme: str, sight: str) -> None:
    """Any two of the six, and of what else a model may have, are at least 10 apart (CIEDE2000)."""
    apart = {
        (one, other): colours.difference(
            *(getattr(emotion(label, OTHERS).colour, theme) for label in (one, other)), sight
        )
        for one, other in combinations([*EMOTIONS, *OTHERS], 2)
    }

    assert {pair: found for pair, found in apart.items() if found < 10} == {}


def test_differences_are_those_of_the_paper() -> None:
    """Pairs 1, 17 and 34 of the test data of CIEDE2000 come out as published; white on black is 21:1."""
    pairs = {
        2.0425: ((50, 2.6772, -79.7751), (50, 0, -82.7485)),
        27.1492: ((50, 2.5, 0), (73, 25, -18)),
        0.9082: ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514)),
    }
    assert {expected: round(colours.ciede2000(*pair), 4) for expected, pair in pairs.items()} == {x: x for x in pairs}
    assert colours.contrast("#000000", "#ffffff") == pytest.approx(21)


def test_every_kind_of_span_is_in_the_palette() -> None:
    """A new kind needs a name, a colour and a pattern of its own."""
    assert SPANS.keys() == set(get_args(SpanKind))
    assert len({style.colour for style in SPANS.values()}) == len(SPANS)
    assert len({style.hatch for style in SPANS.values()}) == len(SPANS)


def test_labels_that_are_not_in_the_palette_keep_their_names() -> None:
    """Two unknown labels of one model get two colours, the same whatever known labels stand between them."""
    first, second = (emotion(label, ["AWE", "BOREDOM"]) for label in ("AWE", "BOREDOM"))

    assert (first.name, second.name) == ("AWE", "BOREDOM")
    assert first.colour != second.colour
    assert emotion("BOREDOM", ["ANG", "AWE", "BOREDOM", "SAD"]) == second


def test_meta_answers_the_palette(client: Client) -> None:
    """Emotions are there by label and spans by kind, each with a name and an RGB colour for either ground."""
    meta = client.get("/api/v1/meta")

    assert meta["emotions"]["ANG"]["name"] == "Anger"
    assert meta["spans"]["missing"]["name"] == "Nothing received"
    assert list(meta["spans"]) == list(SPANS)
    for look in [*meta["emotions"].values(), *meta["spans"].values()]:
        assert look.keys() == {"name", "colour", "colour_dark"}
        assert re.fullmatch("#[0-9a-f]{6}", look["colour"])
        assert re.fullmatch("#[0-9a-f]{6}", look["colour_dark"])
    assert len(meta["other_colours"]) == 4


def test_the_pictures_of_the_recordings_have_the_same_colours() -> None:
    """Training imports no other room, so its colours are a copy."""
    tree = ast.parse((Path(__file__).parents[3] / "training" / "figures.py").read_text())
    (copy,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COLOURS"
    ]

    assert copy == {label: shown.colour.light for label, shown in EMOTIONS.items()}
