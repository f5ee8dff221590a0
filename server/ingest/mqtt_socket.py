"""A socket for paho that reads and writes in large pieces, and deals with most messages itself.

paho reads each packet with three calls to the system, writes each with one, and asks of each message which callback it
is for. Ingest takes thousands of small messages a second and has one callback, so it hands paho this stream instead of
a bare socket, where paho asks for TLS. The PUBLISH packets that come in are for ingest, which acknowledges them here,
and here it sends its confirmations with QoS 0. All other packets are paho's, messages with QoS 1 to devices too.
"""

import socket
import ssl
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

_PIECE_BYTES = 65_536
_PUBLISH = 0x30
_PUBACK = b"\x40\x02"
"""Type and length of an acknowledgement; the message's id follows."""
_LONGEST_SHIFT = 21


class Publish(NamedTuple):
    """A message as the broker delivered it (MQTT 5, 3.3; MQTT 3.1.1 has no properties)."""

    topic: str
    payload: bytes
    mid: int
    """0 if the quality of service is 0."""
    qos: int


class Stream:
    """What paho needs of a socket, over a plain one or one with TLS; it does not block once it is connected."""

    def __init__(self, inner: socket.socket, *, has_properties: bool) -> None:
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # pieces are large already; let none wait
        self._inner = inner
        self._has_properties = has_properties
        self._received = bytearray()
        self._for_paho = bytearray()
        self._end: OSError | None = None
        self._is_open = True
        self._unsent = bytearray()

    def arrivals(self) -> list[Publish]:
        """Read what has come, return the messages, and leave the other packets to `recv`."""
        try:
            piece = self._inner.recv(_PIECE_BYTES)
            self._received += piece
            self._is_open = piece != b""
            return self._split()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return []
        except OSError as error:
            self._end, self._is_open = error, False
            return []

    def _split(self) -> list[Publish]:
        """Take all whole packets from what was received.

        Raises:
            ConnectionError: something was received that is no packet.
        """
        data, begin = bytes(self._received), 0
        found: list[Publish] = []
        while begin < len(data):
            try:
                length, body = _number(data, begin + 1)
            except IndexError:
                break
            end = body + length
            if end > len(data):
                break
            if data[begin] & 0xF0 == _PUBLISH:
                found.append(self._message(data[begin:end], body - begin))
            else:
                self._for_paho += data[begin:end]
            begin = end
        del self._received[:begin]
        return found

    def _message(self, packet: bytes, body: int) -> Publish:
        try:
            return _message(packet, body, has_properties=self._has_properties)
        except IndexError as error:
            raise ConnectionError("the broker sent a message that is cut off") from error

    def tell(self, topic: str, payload: bytes) -> None:
        """Keep a message with QoS 0 until the next `flush`."""
        name = topic.encode()
        no_properties = b"\0" if self._has_properties else b""
        body = b"".join((len(name).to_bytes(2), name, no_properties, payload))
        self._unsent += bytes([_PUBLISH]) + _packed(len(body)) + body

    def acknowledge(self, mids: Iterable[int]) -> None:
        """Keep acknowledgements of messages with QoS 1 until the next `flush`."""
        self._unsent += b"".join(_PUBACK + mid.to_bytes(2) for mid in mids)

    def recv(self, size: int) -> bytes:
        """Return up to so many bytes of packets for paho; raises what a socket raises when there is nothing."""
        if self._for_paho:
            data = bytes(self._for_paho[:size])
            del self._for_paho[:size]
            return data
        if self._end:
            raise self._end
        if self._is_open:
            raise BlockingIOError
        return b""

    def send(self, data: bytes | bytearray) -> int:
        """Keep data until the next `flush`."""
        self._unsent += data
        return len(data)

    def flush(self) -> bool:
        """Send what the socket takes; return whether that was all. A broken connection shows when it is read from."""
        try:
            while self._unsent:
                del self._unsent[: self._inner.send(self._unsent)]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            self._unsent.clear()
        return True

    def pending(self) -> int:
        """Return how many bytes TLS has read and not yet given out, of which `select` knows nothing."""
        return self._inner.pending() if isinstance(self._inner, ssl.SSLSocket) else 0

    @property
    def is_for_paho(self) -> bool:
        """Whether paho finds something here: a packet, or the end of the connection."""
        return bool(self._for_paho) or not self._is_open

    def do_handshake(self) -> None:
        """Agree on keys, if this is TLS."""
        if isinstance(self._inner, ssl.SSLSocket):
            self._inner.do_handshake()

    def settimeout(self, timeout_s: float | None) -> None:
        """Let the handshake take so long."""
        self._inner.settimeout(timeout_s)

    def setblocking(self, blocking: bool) -> None:  # noqa: FBT001 -- as sockets have it
        """Make the socket wait or not."""
        self._inner.setblocking(blocking)

    def fileno(self) -> int:
        """Return the socket's number, for `select`."""
        return self._inner.fileno()

    def close(self) -> None:
        """Send what can still be sent, and close."""
        self.flush()
        self._inner.close()


def _message(packet: bytes, body: int, *, has_properties: bool) -> Publish:
    """Read a PUBLISH packet whose body begins there (MQTT 5, 3.3).

    Raises:
        IndexError: it is cut off.
    """
    qos, mid = packet[0] >> 1 & 3, 0
    topic = body + 2
    at = after_topic = topic + (packet[body] << 8 | packet[body + 1])
    if qos:
        mid = packet[at] << 8 | packet[at + 1]
        at += 2
    if has_properties:
        length, at = _number(packet, at)
        at += length
    if at > len(packet):
        raise IndexError
    return Publish(packet[topic:after_topic].decode(errors="replace"), packet[at:], mid, qos)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a variable byte integer and the place after it (MQTT 5, 1.5.5).

    Raises:
        IndexError: it is cut off.
        ConnectionError: it is none.
    """
    number = shift = 0
    while data[at] >= 0x80:
        number |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if shift > _LONGEST_SHIFT:
            raise ConnectionError("the broker sent a length of more than four bytes")
    return number | data[at] << shift, at + 1


def _packed(number: int) -> bytes:
    """Return a variable byte integer (MQTT 5, 1.5.5)."""
    packed = bytearray()
    while number >= 0x80:
        packed.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(packed) + bytes([number])


class Wrapper:
    """Stands where paho expects a TLS context, and makes streams."""

    check_hostname = True
    """TLS contexts do it in the handshake; paho need not."""

    def __init__(self, tls: ssl.SSLContext | None, *, has_properties: bool) -> None:
        self._tls = tls
        self._has_properties = has_properties

    def wrap_socket(self, plain: socket.socket, **options: Any) -> Stream:
        """Return a stream over a socket that is connected."""
        inner = self._tls.wrap_socket(plain, **options) if self._tls else plain
        return Stream(inner, has_properties=self._has_properties)


def context(tls: ssl.SSLContext | None, *, has_properties: bool) -> ssl.SSLContext:
    """Return what to give to `paho.mqtt.client.Client.tls_set_context`; without TLS the streams are plain.

    Args:
        tls: how to agree on keys, or None.
        has_properties: whether packets are those of MQTT 5.
    """
    return cast("ssl.SSLContext", Wrapper(tls, has_properties=has_properties))
