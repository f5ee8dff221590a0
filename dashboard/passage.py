"""What passes through to REST and to live events, in the name of the session, and what comes back."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from dashboard import responses
from dashboard.pulse import BEAT_S, Pulse
from dashboard.sessions import Session
from dashboard.upstream import Answer, AwayError, Headers, Service

METHODS = ["GET", "POST", "DELETE"]
PREFIX = "/api/v1/"
_BODY_BYTES = 65_536
_TIMEOUT_S = 30.0
_SILENT_S = 40.0
"""Live events are given up after this silence; the server sends a heartbeat every 15 s."""
_RETRY_S = 2.0
_PATH = re.compile(r"/api/v1(/[A-Za-z0-9:._~%-]+)+")
_ABOVE = re.compile(r"(^|/)(\.|%2e){1,2}(/|$)|%2f|%5c|%00", re.IGNORECASE)
_QUERY = re.compile(r"[\x21-\x7e]{0,2048}")
_EVENT_ID = re.compile(r"[0-9.-]{1,64}")
_SENT = ("accept", "accept-encoding", "content-type", "if-none-match")
_RETURNED = (
    *("cache-control", "content-disposition", "content-encoding", "content-length", "content-security-policy"),
    *("content-type", "etag", "link", "location", "retry-after", "vary"),
)


async def pass_on(request: Request, rest: Service, session: Session) -> Response:
    """Return REST's response to a request, streamed; problem details where REST is away."""
    path, target = request.url.path, _target(request)
    if target is None:
        return responses.problem(HTTPStatus.BAD_REQUEST, "the path or query is none that REST has", path)
    body = await _body(request)
    if body is None:
        detail = f"the body is longer than {_BODY_BYTES} bytes: send less"
        return responses.problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, path)
    headers = [(name, request.headers[name]) for name in _SENT if name in request.headers]
    stack = contextlib.AsyncExitStack()
    try:
        asking = rest.ask(request.method, target, headers, body, token=session.token, timeout_s=_TIMEOUT_S)
        answer = await stack.enter_async_context(asking)
    except AwayError as error:
        return responses.problem(HTTPStatus.BAD_GATEWAY, f"{error}: try again in a few seconds", path, retry_s=5)
    kept = {name: answer.headers[name] for name in _RETURNED if name in answer.headers}
    return _Streamed(answer, kept, stack)


class _Streamed(StreamingResponse):
    """Sends what comes, and hangs up in the end."""

    def __init__(self, answer: Answer, headers: dict[str, str], stack: contextlib.AsyncExitStack) -> None:
        super().__init__(answer.chunks, answer.status, headers)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        async with self._stack:
            await super().__call__(scope, receive, send)


def stream(
    live: Service, pulse: Pulse, session: Session, last_id: str, is_valid: Callable[[], bool]
) -> StreamingResponse:
    """Return all live events, with how the server is between them, as one stream for one page.

    Where the page reads slowly, so do we, until live events drop us; the page resumes with its last event's id.

    Args:
        live: Live events.
        pulse: How the server is.
        session: Whose token opens them.
        last_id: Of the last event that the page has got; empty for none.
        is_valid: Tells whether the session still holds.
    """
    since = [("Last-Event-ID", last_id)] if _EVENT_ID.fullmatch(last_id) else []

    async def events() -> AsyncIterator[bytes]:
        async with pulse.watched():
            has_begun = False
            while is_valid() and not has_begun:  # once they end, the page comes back with the id of its last event
                try:
                    async with _follow(live, session, since) as answer:
                        has_begun = True
                        async for chunk in _with_pulse(answer, pulse, is_valid):
                            yield chunk
                except AwayError:
                    yield await pulse.event("away")
                    await asyncio.sleep(_RETRY_S)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events(), headers=headers, media_type="text/event-stream")


@contextlib.asynccontextmanager
async def _follow(live: Service, session: Session, since: Headers) -> AsyncIterator[Answer]:
    """Subscribe to live events.

    Raises:
        AwayError: there are none.
    """
    asking = live.ask("GET", f"{PREFIX}live", since, token=session.token, timeout_s=_SILENT_S)
    async with asking as answer:
        if answer.status != HTTPStatus.OK:
            raise AwayError(f"{live.name} answers with status {answer.status}")
        yield answer


async def _with_pulse(answer: Answer, pulse: Pulse, is_valid: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yield the events of a stream, whole ones only, and a pulse before the first and every few seconds."""
    yield await pulse.event("ok")
    heard_at_s = time.monotonic()
    beat_at_s = heard_at_s + BEAT_S
    rest = b""
    reading = asyncio.ensure_future(anext(answer.chunks, None))
    try:
        while is_valid():
            done, _ = await asyncio.wait([reading], timeout=max(0.0, beat_at_s - time.monotonic()))
            if done:
                chunk = reading.result()
                if chunk is None:
                    return
                heard_at_s = time.monotonic()
                whole, mark, rest = (rest + chunk).rpartition(b"\n\n")
                if mark:
                    yield whole + mark
                reading = asyncio.ensure_future(anext(answer.chunks, None))
            if time.monotonic() >= beat_at_s:
                yield await pulse.event("ok", time.monotonic() - heard_at_s)
                beat_at_s = time.monotonic() + BEAT_S
    finally:
        reading.cancel()


def _target(request: Request) -> str | None:
    """Return path and query as they came; None if REST cannot have them."""
    path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
    query = request.scope["query_string"].decode("latin-1")
    if not _PATH.fullmatch(path) or _ABOVE.search(path) or not _QUERY.fullmatch(query):
        return None
    return f"{path}?{query}" if query else path


async def _body(request: Request) -> bytes | None:
    """Return the body; None if it is too long."""
    found = b""
    async for chunk in request.stream():
        found += chunk
        if len(found) > _BODY_BYTES:
            return None
    return found
