"""One request and its answer, as ASGI passes them: what `server live` speaks under its streams."""

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from server.errors import ProblemError

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_ALWAYS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Exchange:
    """A request, and the way back.

    Source: the ASGI specification, HTTP connection scope.
    """

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        """By their names in lower case."""
        self.address: str = scope["client"][0] if scope.get("client") else ""
        self.added: dict[str, str] = {}
        """Headers that the answer has in any case."""
        self.status: HTTPStatus | None = None
        """Of the answer, once it has begun."""
        self._receive = receive
        self._send = send

    @property
    def token(self) -> str | None:
        """The header that carries the token."""
        return self.headers.get("authorization")

    async def begin(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        """Begin the answer."""
        self.status = status
        named = [
            (name.lower().encode(), value.encode("latin-1")) for name, value in (_ALWAYS | headers | self.added).items()
        ]
        await self._send({"type": "http.response.start", "status": int(status), "headers": named})

    async def pass_on(self, chunk: bytes, *, more: bool = True) -> None:
        """Send a part of the answer; waits while the client takes nothing."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def answer(self, status: HTTPStatus, content_type: str, body: bytes, **headers: str) -> None:
        """Send a whole answer; further headers are named as in Python, `retry_after`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.begin(status, {"Content-Type": content_type, "Content-Length": str(len(body))} | named)
        await self.pass_on(body, more=False)

    async def refuse(self, error: ProblemError) -> None:
        """Answer with a problem as RFC 9457 writes it, or end a stream that has begun."""
        if self.status is not None:
            await self.pass_on(b"", more=False)
            return
        headers = {}
        if error.status == HTTPStatus.UNAUTHORIZED:
            headers["www_authenticate"] = "Bearer"
        if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["allow"] = "GET"
        if error.retry_s is not None:
            headers["retry_after"] = str(error.retry_s)
        problem = {
            "type": "about:blank",
            "title": error.status.phrase,
            "status": error.status,
            "detail": str(error),
            "instance": self.path,
        }
        await self.answer(error.status, "application/problem+json", json.dumps(problem).encode(), **headers)

    async def wait_for_end(self) -> None:
        """Wait until the client has gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
