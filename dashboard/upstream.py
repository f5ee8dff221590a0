"""Requests to REST and to live events: one connection each, streamed in both directions by the event loop.

A request of a browser waits here without holding a thread, however slow the service is. Neither a proxy nor a ~/.netrc
of the environment comes between: both services are ours.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import h11

from common import addresses, urls

_CHUNK_BYTES = 65_536
_CONNECT_S = 3.0
Headers = Sequence[tuple[str, str]]


class AwayError(Exception):
    """A service does not answer; the text says which."""


@dataclass(frozen=True)
class Answer:
    """The beginning of a response; its body follows in chunks."""

    status: int
    headers: dict[str, str]
    """By name in lower case."""
    chunks: AsyncIterator[bytes]


class Service:
    """Where a service of ours listens.

    Args:
        name: For people.
        url: With http or https.

    Raises:
        ValueError: the URL is not usable; the message repeats no part of it.
    """

    def __init__(self, name: str, url: str) -> None:
        urls.check_http(url)
        parts = urls.split(url)
        assert parts.hostname is not None
        addresses.check_host(parts.hostname)
        self.name = f"{name} at {urls.readable(url)}"
        self._host = parts.hostname
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._netloc = parts.netloc
        self._path = parts.path.rstrip("/")

    @contextlib.asynccontextmanager
    async def ask(  # noqa: PLR0913 - the parts of a request
        self, method: str, target: str, headers: Headers = (), body: bytes = b"", *, token: str = "", timeout_s: float
    ) -> AsyncIterator[Answer]:
        """Send a request and yield the beginning of the response.

        Args:
            method: Of HTTP.
            target: Path and query, percent-encoded.
            headers: More headers.
            body: Of the request.
            token: A bearer token; empty for none.
            timeout_s: Longest silence of the service.

        Raises:
            AwayError: the service cannot be reached, is silent for too long, or breaks off.
        """
        login = [("Authorization", f"Bearer {token}")] if token else []
        length = [("Content-Length", str(len(body)))] if body or method != "GET" else []
        sent = [("Host", self._netloc), ("Connection", "close"), *login, *length, *headers]
        writer: asyncio.StreamWriter | None = None
        try:
            with self._translated():
                async with asyncio.timeout(_CONNECT_S):
                    reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
                connection = h11.Connection(h11.CLIENT)
                encoded = [(name.encode("ascii"), value.encode("utf-8")) for name, value in sent]
                request = h11.Request(method=method, target=self._path + target, headers=encoded)
                for event in (request, h11.Data(body), h11.EndOfMessage()):
                    writer.write(connection.send(event) or b"")
                head = await _next_event(connection, reader, timeout_s)
            if not isinstance(head, h11.Response):
                raise AwayError(f"{self.name} breaks off")
            found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head.headers}
            yield Answer(head.status_code, found, self._chunks(connection, reader, timeout_s))
        finally:
            if writer is not None:
                writer.transport.abort()

    async def _chunks(
        self, connection: h11.Connection, reader: asyncio.StreamReader, timeout_s: float
    ) -> AsyncIterator[bytes]:
        while True:
            with self._translated():
                event = await _next_event(connection, reader, timeout_s)
            if not isinstance(event, h11.Data):
                return
            yield bytes(event.data)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise AwayError(f"{self.name} does not answer") from error
        except (OSError, h11.RemoteProtocolError, h11.LocalProtocolError) as error:
            raise AwayError(f"{self.name} cannot be reached") from error


async def _next_event(connection: h11.Connection, reader: asyncio.StreamReader, timeout_s: float) -> object:
    """Return the next part of a response that is no interim one (RFC 9110, section 15.2)."""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            async with asyncio.timeout(timeout_s):
                connection.receive_data(await reader.read(_CHUNK_BYTES))
        elif not isinstance(event, h11.InformationalResponse):
            return event
