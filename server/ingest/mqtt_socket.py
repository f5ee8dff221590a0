"""The socket of ingest's MQTT client: reads and writes in large pieces, and handles most packets itself.

paho reads each packet with three calls to the system, writes each with one, and asks of each message which callback it
is for. Ingest takes thousands of small messages a second and has one use for them. So the socket splits what it reads
into packets, keeps the PUBLISH packets for ingest, and packs acknowledgements and messages with QoS 0. paho gets all
other packets: connect, subscribe, keep alive, and messages with QoS 1 to devices.

What this is worth: docs/decisions/mqtt-socket.md.
"""

import socket
import ssl
from collections.abc import Iterable

from server.ingest.delivery import Delivery

_PIECE_BYTES = 65_536
_PUBLISH = 0x30
_PUBACK = b"\x40\x02"
"""Type and length of an acknowledgement; the packet id follows."""
_MAX_SHIFT = 21
_CUT_OFF = "the broker sent a message that is cut off"
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class MqttSocket:
    """What paho needs of a socket, over a connected one with or without TLS.

    Args:
        inner: The socket that paho connected.
        connection: Number that deliveries carry.
        has_properties: Whether packets are those of MQTT 5.
    """

    def __init__(self, inner: socket.socket, connection: int, *, has_properties: bool) -> None:
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the pieces are large already
        self.connection = connection
        self._inner = inner
        self._has_properties = has_properties
        self._received = bytearray()
        self._for_paho = bytearray()
        self._error: OSError | None = None
        self._is_open = True
        self._unsent = bytearray()

    def deliveries(self) -> list[Delivery]:
        """Read what has come, return the messages, and leave the other packets to `recv`."""
        try:
            piece = self._inner.recv(_PIECE_BYTES)
            self._received += piece
            self._is_open = piece != b""
            return self._split()
        except _WOULD_BLOCK:
            return []
        except OSError as error:
            self._error, self._is_open = error, False
            return []

    def _split(self) -> list[Delivery]:
        """Take all whole packets from what was received.

        Raises:
            ConnectionError: something was received that is no packet.
        """
        data, begin = bytes(self._received), 0
        found: list[Delivery] = []
        while begin < len(data):
            try:
                length, body = _unpack_number(data, begin + 1)
            except IndexError:
                break
            end = body + length
            if end > len(data):
                break
            if data[begin] & 0xF0 == _PUBLISH:
                found.append(self._unpack_publish(data[begin:end], body - begin))
            else:
                self._for_paho += data[begin:end]
            begin = end
        del self._received[:begin]
        return found

    def _unpack_publish(self, packet: bytes, body: int) -> Delivery:
        """Read a PUBLISH packet whose body begins there (MQTT 5, 3.3).

        Raises:
            ConnectionError: it is cut off.
        """
        try:
            qos, packet_id = packet[0] >> 1 & 3, 0
            topic = body + 2
            at = after_topic = topic + (packet[body] << 8 | packet[body + 1])
            if qos:
                packet_id = packet[at] << 8 | packet[at + 1]
                at += 2
            if self._has_properties:
                length, at = _unpack_number(packet, at)
                at += length
        except IndexError as error:
            raise ConnectionError(_CUT_OFF) from error
        if at > len(packet):
            raise ConnectionError(_CUT_OFF)
        name = packet[topic:after_topic].decode(errors="replace")
        return Delivery(name, packet[at:], packet_id, qos, self.connection)

    def publish(self, topic: str, payload: bytes) -> None:
        """Keep a message with QoS 0 until the next `flush`."""
        name = topic.encode()
        no_properties = b"\0" if self._has_properties else b""
        body = b"".join((len(name).to_bytes(2), name, no_properties, payload))
        self._unsent += bytes([_PUBLISH]) + _pack_number(len(body)) + body

    def acknowledge(self, packet_ids: Iterable[int]) -> None:
        """Keep acknowledgements of messages with QoS 1 until the next `flush`."""
        self._unsent += b"".join(_PUBACK + packet_id.to_bytes(2) for packet_id in packet_ids)

    def flush(self) -> bool:
        """Send what the socket takes; return whether that was all. A broken connection shows when it is read from."""
        try:
            while self._unsent:
                del self._unsent[: self._inner.send(self._unsent)]
        except _WOULD_BLOCK:
            return False
        except OSError:
            self._unsent.clear()
        return True

    def recv(self, size: int) -> bytes:
        """Return up to so many bytes of packets for paho; raise what a socket raises when there is nothing."""
        if self._for_paho:
            data = bytes(self._for_paho[:size])
            del self._for_paho[:size]
            return data
        if self._error:
            raise self._error
        if self._is_open:
            raise BlockingIOError
        return b""

    def send(self, data: bytes | bytearray) -> int:
        """Keep a packet of paho until the next `flush`."""
        self._unsent += data
        return len(data)

    def pending(self) -> int:
        """Return how many bytes TLS has read and not yet given out, of which `select` knows nothing."""
        return self._inner.pending() if isinstance(self._inner, ssl.SSLSocket) else 0

    @property
    def is_for_paho(self) -> bool:
        """Whether paho finds something here: a packet, or the end of the connection."""
        return bool(self._for_paho) or not self._is_open

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 -- as sockets have it
        """Make the socket wait or not."""
        self._inner.setblocking(flag)

    def fileno(self) -> int:
        """Return the socket's number, for `select`."""
        return self._inner.fileno()

    def close(self) -> None:
        """Send what can still be sent, and close."""
        self.flush()
        self._inner.close()


def _unpack_number(data: bytes, at: int) -> tuple[int, int]:
    """Return a variable byte integer and the place after it (MQTT 5, 1.5.5).

    Raises:
        IndexError: it is cut off.
        ConnectionError: it is too long.
    """
    number = shift = 0
    while data[at] >= 0x80:
        number |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if shift > _MAX_SHIFT:
            raise ConnectionError("the broker sent a length of more than four bytes")
    return number | data[at] << shift, at + 1


def _pack_number(number: int) -> bytes:
    """Return a variable byte integer (MQTT 5, 1.5.5)."""
    packed = bytearray()
    while number >= 0x80:
        packed.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(packed) + bytes([number])
