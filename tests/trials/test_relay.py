"""The relay that fails as a network does."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from trials.relay import Condition, Relay

PATIENCE_S = 20.0


@contextmanager
def ends(condition: Condition) -> Iterator[tuple[Relay, socket.socket, socket.socket]]:
    """Yield a relay that was open at first, and both ends of a connection through it, in a condition."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = Relay(listener.getsockname()[:2])
        with socket.create_connection(("127.0.0.1", relay.port)) as client:
            server, _ = listener.accept()
            with server:
                for end in (client, server):
                    end.settimeout(PATIENCE_S)
                client.sendall(b"open")
                assert server.recv(10) == b"open"
                with relay.being(condition):
                    yield relay, client, server
        relay.close()


def comes(end: socket.socket) -> bytes | None:
    """Return what comes soon; None if nothing does."""
    end.settimeout(0.3)
    try:
        return end.recv(10)
    except TimeoutError:
        return None
    finally:
        end.settimeout(PATIENCE_S)


@pytest.mark.parametrize(
    ("condition", "forth", "back"),
    [("open", b"1", b"2"), ("cut", None, None), ("mute", None, b"2"), ("deaf", b"1", None), ("lingering", b"1", b"2")],
)
def test_what_comes_through_in_each_condition(condition: Condition, forth: bytes | None, back: bytes | None) -> None:
    """Nobody is told of what does not come through."""
    with ends(condition) as (_, client, server):
        client.sendall(b"1")
        server.sendall(b"2")

        assert (comes(server), comes(client)) == (forth, back)


def test_a_connection_that_lost_something_is_broken_when_the_network_is_back() -> None:
    """What was swallowed would be missing in the middle of the stream."""
    with ends("cut") as (relay, client, server):
        client.sendall(b"lost")
        assert comes(server) is None
        relay.condition = "open"

        assert (client.recv(10), server.recv(10)) == (b"", b"")


def test_the_server_learns_late_that_a_client_has_gone() -> None:
    """So a broker publishes a last will when the device is long back."""
    with ends("lingering") as (relay, client, server):
        client.close()
        assert comes(server) is None
        relay.condition = "open"

        assert server.recv(10) == b""
