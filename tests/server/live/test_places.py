"""Nobody takes all places."""

from contextlib import ExitStack
from http import HTTPStatus

import pytest

from server.errors import ProblemError
from server.live import places
from server.live.places import Places
from server.store.tokens import Token

VIEWERS = [Token(f"viewer-{number}", "viewer", "", 0) for number in range(6)]
OPERATOR = Token("night-shift", "operator", "", 0)


def test_one_token_from_many_addresses_takes_its_thousand() -> None:
    """A stolen viewer's token leaves places for other viewers, and many viewers leave some for operators."""
    held = Places()
    with ExitStack() as connections:
        taken = dict.fromkeys(VIEWERS, 0)
        refused = set()
        for viewer in VIEWERS:
            for number in range(places.OF_A_TOKEN + 1):
                try:
                    connections.enter_context(held.take(viewer, f"10.0.0.{number % 5}-{viewer.name}"))
                    taken[viewer] += 1
                except ProblemError as error:
                    refused.add(error.status)
        assert [taken[viewer] for viewer in VIEWERS] == [1000, 1000, 1000, 1000, 500, 0]
        assert refused == {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
        for _ in range(places.MOST - places.FOR_VIEWERS):
            connections.enter_context(held.take(OPERATOR, "10.0.0.9"))
        with pytest.raises(ProblemError, match="there are 5000 live connections, the limit for operator tokens"):
            connections.enter_context(held.take(OPERATOR, "10.0.0.9"))
    assert not held._tokens
    assert not held._addresses


def test_one_address_takes_half() -> None:
    """However many tokens come from there."""
    held = Places()
    with ExitStack() as connections:
        for number in range(places.OF_AN_ADDRESS):
            connections.enter_context(held.take(VIEWERS[number % 6], "192.0.2.1"))
        with pytest.raises(ProblemError, match="this address has 2500 live connections, the limit"):
            connections.enter_context(held.take(OPERATOR, "192.0.2.1"))
        connections.enter_context(held.take(OPERATOR, "192.0.2.2"))
