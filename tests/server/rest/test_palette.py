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
OTHERS = ["AWE", "BOREDOM", "CALM", "ENVY", "PAIN", "PRIDE"]
"""With the ten that are known, as many labels as a plot draws."""
SIXTEEN = [*EMOTIONS, *OTHERS]


@pytest.mark.parametrize("theme", GROUNDS)
def test_every_colour_stands_out(theme: str) -> None:
    """Emotions have at least 3:1 on their grounds, as graphics need it (WCAG 1.4.11), and text has 4.5:1."""
    for ground in GROUNDS[theme]:
        for label in SIXTEEN:
            colour = getattr(emotion(label, SIXTEEN).colour, theme)
            assert colours.contrast(colour, ground) >= 3, label
        assert colours.contrast(getattr(INK, theme), ground) >= 7
        assert colours.contrast(getattr(QUIET, theme), ground) >= 4.5


@pytest.mark.parametrize("sight", colours.SIGHTS)
@pytest.mark.parametrize("theme", GROUNDS)
def test_colour_blind_people_tell_emotions_apart(theme: str, sight: str) -> None:
    """Any two of those that are known are at least 10 apart (CIEDE2000), and any two of sixteen at least 8.9."""
    apart = {
        (one, other): colours.difference(
            *(getattr(emotion(label, SIXTEEN).colour, theme) for label in (one, other)), sight
        )
        for one, other in combinations(SIXTEEN, 2)
    }

    assert {pair: found for pair, found in apart.items() if found < (10 if {*pair} <= EMOTIONS.keys() else 8.9)} == {}


@pytest.mark.parametrize("known", [0, 3, 10])
def test_sixteen_labels_have_sixteen_colours(known: int) -> None:
    """Whichever of them are known, none has the colour of another."""
    labels = [*list(EMOTIONS)[:known], *(f"E{number}" for number in range(16 - known))]

    assert len({emotion(label, labels).colour for label in labels}) == 16


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


def test_a_label_that_is_not_in_the_palette_keeps_its_name_and_its_colour() -> None:
    """It depends on its letters: what a model has besides changes it only where both want one colour."""
    alone = {label: emotion(label, [label]) for label in OTHERS}
    together = {label: emotion(label, SIXTEEN) for label in OTHERS}

    assert [shown.name for shown in alone.values()] == OTHERS
    assert alone["AWE"] == emotion("AWE", ["ANG", "AWE", "SAD", "ZEAL"])
    free = [label for label in OTHERS if [each.colour for each in alone.values()].count(alone[label].colour) == 1]
    assert free
    assert all(alone[label] == together[label] for label in free)


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
    assert len(meta["other_colours"]) == 6


def test_the_pictures_of_the_recordings_have_the_same_colours() -> None:
    """Training imports no other room, so its colours are a copy."""
    tree = ast.parse((Path(__file__).parents[3] / "training" / "figures.py").read_text())
    (copy,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COLOURS"
    ]

    assert copy.items() <= {label: shown.colour.light for label, shown in EMOTIONS.items()}.items()
