"""A socket for paho that reads and writes in large pieces.

paho reads each packet with three calls to the system and writes each with one. Ingest reads and writes thousands of
small packets a second, so it hands paho this stream instead of a bare socket, where paho asks for TLS.
"""

import socket
import ssl
from typing import Any, cast

_PIECE_BYTES = 65_536


class Stream:
    """What paho needs of a socket, over a plain one or one with TLS; it does not block once it is connected."""

    def __init__(self, inner: socket.socket) -> None:
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # pieces are large already; let none wait
        self._inner = inner
        self._read = b""
        self._at = 0
        self._unsent = bytearray()

    def recv(self, size: int) -> bytes:
        """Return up to so many bytes of what has come; raises what the socket raises when there is nothing."""
        if self._at == len(self._read):
            self._read, self._at = self._inner.recv(_PIECE_BYTES), 0
        data = self._read[self._at : self._at + size]
        self._at += len(data)
        return data

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
        """Return how many bytes `recv` can give without asking the system."""
        inside = self._inner.pending() if isinstance(self._inner, ssl.SSLSocket) else 0
        return len(self._read) - self._at + inside

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


class Wrapper:
    """Stands where paho expects a TLS context, and makes streams."""

    check_hostname = True
    """TLS contexts do it in the handshake; paho need not."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls

    def wrap_socket(self, plain: socket.socket, **options: Any) -> Stream:
        """Return a stream over a socket that is connected."""
        return Stream(self._tls.wrap_socket(plain, **options) if self._tls else plain)


def context(tls: ssl.SSLContext | None) -> ssl.SSLContext:
    """Return what to give to `paho.mqtt.client.Client.tls_set_context`; without TLS the streams are plain."""
    return cast("ssl.SSLContext", Wrapper(tls))
