"""A store that is away, and a URL that is none, are named in a sentence."""

import pytest

from server.errors import StoreAwayError, UnusableError
from server.store.client import Client


def test_a_store_that_is_away_is_named_without_its_password() -> None:
    """The error of a store that does not answer has its address, and never its password."""
    with pytest.raises(StoreAwayError, match=r"redis://127\.0\.0\.1:1/0") as caught:
        Client("redis://user:secret@127.0.0.1:1/0").now()
    assert "secret" not in str(caught.value)


def test_a_url_that_is_none_is_refused() -> None:
    """A store URL of another kind is refused with the right ones."""
    with pytest.raises(UnusableError, match="'http://x' is no address of a store"):
        Client("http://x")
