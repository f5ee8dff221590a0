"""Addresses are written as URLs have them, and a host that nobody can look up is refused before anyone tries."""

import pytest

from common import addresses


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [("pi.local", 1883, "pi.local:1883"), ("::1", 8082, "[::1]:8082"), ("127.0.0.1", 80, "127.0.0.1:80")],
)
def test_an_ipv6_address_is_in_brackets(host: str, port: int, text: str) -> None:
    """Host and port can be told apart, and pasted into a browser."""
    assert addresses.join(host, port) == text


@pytest.mark.parametrize("host", ["pi.local", "küche.local", "fe80::1%eth0", "a" * 63 + ".de", ""])
def test_a_host_that_may_exist_is_taken(host: str) -> None:
    """Names with umlauts and addresses with a zone are names of hosts."""
    addresses.check_host(host)


@pytest.mark.parametrize("host", ["pi..local", ".local", "a" * 64 + ".de"])
def test_a_host_that_cannot_be_looked_up_is_refused(host: str) -> None:
    """The sentence names the host and what is wrong with it."""
    with pytest.raises(ValueError, match=f"host '{host}' is no name: each part .* 1 to 63 characters"):
        addresses.check_host(host)


@pytest.mark.parametrize(
    ("host", "here"), [("localhost", True), ("127.0.0.2", True), ("::1", True), ("10.0.0.1", False), ("", False)]
)
def test_loopback_is_this_machine(host: str, *, here: bool) -> None:
    """Only names and addresses of this machine count."""
    assert addresses.is_loopback(host) is here
