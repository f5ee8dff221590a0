"""The client acknowledges a message only on the connection that brought it, and leaves sessions to paho."""

import select
import socket
from collections.abc import Iterator

import pytest
from paho.mqtt.enums import CallbackAPIVersion

from server.ingest.bulk_client import BulkClient
from server.ingest.delivery import Delivery

CONNACK = b"\x20\x02\x00\x00"
PUBLISH = b"\x32\x06\x00\x01t\x00\x07p"
"""Topic t, packet id 7, payload p, QoS 1."""
PUBACK = b"\x40\x02\x00\x07"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen where a broker would."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def connect(client: BulkClient, listener: socket.socket) -> socket.socket:
    """Connect the client and return the broker's end, which has accepted the session."""
    client.reconnect()
    broker, _ = listener.accept()
    broker.settimeout(5)
    client.flush()
    assert broker.recv(99)[0] == 0x10, "the client asks for a session"
    broker.sendall(CONNACK)
    return broker


def delivered(client: BulkClient) -> list[Delivery]:
    """Return what has come, once anything has."""
    select.select([client.socket()], [], [], 5)
    return client.deliveries()


def test_a_message_is_acknowledged_on_its_own_connection_only(listener: socket.socket) -> None:
    """A packet id means another message on another connection, so nothing is sent for one that is gone."""
    client = BulkClient(CallbackAPIVersion.VERSION2, client_id="ingest", manual_ack=True)
    client.connect_async("127.0.0.1", listener.getsockname()[1])
    with connect(client, listener) as broker:
        assert delivered(client) == []
        assert client.is_connected()
        broker.sendall(PUBLISH)
        (first,) = delivered(client)
        assert first == Delivery("t", b"p", 7, 1, 1)
    assert delivered(client) == []
    assert client.socket() is None, "paho has seen the end of the connection"
    client.acknowledge([first])
    client.publish_once("t", b"lost")
    assert client.flush()

    with connect(client, listener) as broker:
        broker.sendall(PUBLISH)
        found = delivered(client)
        while not found:
            found = delivered(client)
        client.acknowledge([first, *found])
        assert client.flush()
        assert broker.recv(99) == PUBACK
        client.disconnect()
