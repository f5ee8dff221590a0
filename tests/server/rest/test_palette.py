"""Emotions and spans have one name and one colour each, for the plots and for the page."""

import re
from typing import get_args

from clients import Client

from server.query.spans import SpanKind
from server.rest.palette import SPANS, emotion


def test_every_kind_of_span_is_in_the_palette() -> None:
    """A new kind needs a name and a colour of its own."""
    assert SPANS.keys() == set(get_args(SpanKind))
    assert len({style.colour for style in SPANS.values()}) == len(SPANS)


def test_labels_that_are_not_in_the_palette_keep_their_names() -> None:
    """Two unknown labels of one model get two colours."""
    first, second = emotion("BOREDOM", 0), emotion("AWE", 1)

    assert (first.name, second.name) == ("BOREDOM", "AWE")
    assert first.colour != second.colour


def test_meta_answers_the_palette(client: Client) -> None:
    """Emotions are there by label and spans by kind, each with a name and an RGB colour."""
    meta = client.get("/api/v1/meta")

    assert meta["emotions"]["ANG"]["name"] == "Anger"
    assert meta["spans"]["missing"]["name"] == "Nothing received"
    assert list(meta["spans"]) == list(SPANS)
    for look in [*meta["emotions"].values(), *meta["spans"].values()]:
        assert look.keys() == {"name", "colour"}
        assert re.fullmatch("#[0-9a-f]{6}", look["colour"])
