"""The socket takes messages out of what a broker sends, however it is cut, and leaves all else to paho."""

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from server.ingest.delivery import Delivery
from server.ingest.mqtt_socket import MqttSocket

PINGRESP = b"\xd0\x00"


def length(number: int) -> bytes:
    """Return a variable byte integer (MQTT 5, 1.5.5)."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + length(rest) if rest else bytes([low])


def packet(message: Delivery, properties: bytes | None) -> bytes:
    """Return a PUBLISH packet, of MQTT 5 if there are properties (MQTT 5, 3.3)."""
    name = message.topic.encode()
    body = len(name).to_bytes(2, "big") + name + (message.packet_id.to_bytes(2, "big") if message.qos else b"")
    body += (length(len(properties)) + properties if properties is not None else b"") + message.payload
    return bytes([0x30 | message.qos << 1]) + length(len(body)) + body


@contextmanager
def connected(*, has_properties: bool) -> Iterator[tuple[socket.socket, MqttSocket]]:
    """Connect over TCP; give the broker's end and the socket over the other."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        theirs, _ = listening.accept()
    with theirs, ours:
        ours.settimeout(0)
        yield theirs, MqttSocket(ours, 1, has_properties=has_properties)


def deliveries(sock: MqttSocket) -> list[Delivery]:
    """Return what has come, once anything has."""
    select.select([sock], [], [], 5)
    return sock.deliveries()


def received(pieces: list[bytes], *, has_properties: bool) -> tuple[list[Delivery], bytes]:
    """Send pieces one after the other; return the messages, and what was left to paho."""
    with connected(has_properties=has_properties) as (theirs, sock):
        found: list[Delivery] = []
        rest = b""
        for piece in pieces:
            theirs.sendall(piece)
            found += deliveries(sock)
            while sock.is_for_paho:
                rest += sock.recv(1)
        return found, rest


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    """Yield data cut at some places."""
    ends = [*sorted({place % len(data) for place in places} - {0}), len(data)]
    for begin, end in zip([0, *ends], ends, strict=False):
        yield data[begin:end]


messages = st.builds(
    lambda topic, payload, packet_id, qos: Delivery(topic, payload, packet_id if qos else 0, qos, 1),
    st.text(max_size=20),
    st.binary(max_size=300),
    st.integers(1, 65_535),
    st.integers(0, 1),
)


@given(
    sent=st.lists(messages | st.just(None), min_size=1, max_size=8),
    properties=st.none() | st.binary(max_size=150),
    places=st.lists(st.integers(0, 5_000), max_size=6),
)
def test_messages_are_found_wherever_the_bytes_are_cut(
    sent: list[Delivery | None], properties: bytes | None, places: list[int]
) -> None:
    """Every message comes out whole and in order, with and without properties; the packets between are paho's."""
    data = b"".join(PINGRESP if message is None else packet(message, properties) for message in sent)
    found, rest = received(list(cut(data, places)), has_properties=properties is not None)
    assert found == [message for message in sent if message is not None]
    assert rest == PINGRESP * sent.count(None)


@pytest.mark.parametrize(
    "broken",
    [
        b"\x32\x80\x80\x80\x80\x01",
        b"\x32\x02\x00\x09",
        b"\x32\x04\x00\x02ab",
        b"\x32\x01\x00",
        b"\x32\x06\x00\x01a\x00\x01\x05",
    ],
)
def test_what_is_no_packet_ends_the_connection(broken: bytes) -> None:
    """A length of five bytes and a message that is cut off are a lost connection to paho, after the good ones."""
    good = Delivery("a", b"b", 7, 1, 1)
    with connected(has_properties=True) as (theirs, sock):
        theirs.sendall(packet(good, b"") + PINGRESP)
        assert deliveries(sock) == [good]
        assert (sock.recv(1), sock.recv(9)) == (PINGRESP[:1], PINGRESP[1:])
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        theirs.sendall(broken)
        assert deliveries(sock) == []
        assert sock.is_for_paho
        with pytest.raises(ConnectionError, match="the broker sent"):
            sock.recv(1)


@given(message=messages, version_5=st.booleans())
def test_what_is_told_is_a_message_that_the_other_end_can_read(message: Delivery, version_5: bool) -> None:  # noqa: FBT001 -- drawn by name
    """A message with QoS 0 comes out at the other end as it went in, and acknowledgements are left to paho there."""
    with connected(has_properties=version_5) as (theirs, sock):
        sock.publish(message.topic, message.payload)
        sock.acknowledge([7, 300])
        assert sock.flush()
        other = MqttSocket(theirs, 1, has_properties=version_5)
        assert deliveries(other) == [replace(message, qos=0, packet_id=0)]
        assert other.recv(99) == b"\x40\x02\x00\x07\x40\x02\x01\x2c"


def test_the_end_of_a_connection_is_for_paho() -> None:
    """When the broker closes, paho reads the packets that came before, and then the end."""
    with connected(has_properties=False) as (theirs, sock):
        theirs.sendall(PINGRESP)
        deliveries(sock)
        theirs.close()
        assert deliveries(sock) == []
        assert (sock.recv(2), sock.recv(2)) == (PINGRESP, b"")
