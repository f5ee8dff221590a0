"""A store that is away, and a URL that is none, are named in a sentence."""

import pytest

from server.errors import StoreAwayError, UnusableError
from server.store.client import Client


def test_a_store_that_is_away_is_named_without_its_password() -> None:
    """The error of a store that does not answer has its address, and never its password."""
    with pytest.raises(StoreAwayError, match=r"redis://\*\*\*@127\.0\.0\.1:1/0") as caught:
        Client("redis://user:secret@127.0.0.1:1/0").now()
    assert "secret" not in str(caught.value)


def test_a_url_that_is_none_is_refused() -> None:
    """A store URL of another kind is refused with the right ones."""
    with pytest.raises(UnusableError, match="'http://x' is no address of a store"):
        Client("http://x")


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/prod",
        "rediss://127.0.0.1/0/1",
        "cluster+redis://127.0.0.1/x",
        "redis://127.0.0.1:6379/0?dbb=3",
        "redis://:1234#secret@127.0.0.1:6379/0",
        "redis://store..local:6379/0",
        "unix:///run/store#1.sock",
    ],
)
def test_a_url_of_which_a_part_would_be_left_out_is_refused(url: str) -> None:
    """No other database, host or option is taken than the one that somebody wrote, and no password is shown."""
    with pytest.raises(UnusableError, match=r"is no address of a store: .* the number of a database") as caught:
        Client(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        *("redis://127.0.0.1", "redis://[::1]:6379/3", "redis://127.0.0.1/3/", "unix:///run/a%231.sock?db=2"),
        *("redis://user:p%23%2F@127.0.0.1/0", "redis://127.0.0.1/0?health_check_interval=5"),
        "cluster+redis://127.0.0.1",
    ],
)
def test_a_usable_url_is_taken(url: str) -> None:
    """Databases have numbers, and what has a meaning in URLs is written as %23."""
    Client(url).close()
