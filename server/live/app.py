"""The live application: readings and states of devices as server-sent events; `create_app` builds it.

Errors are problem details as in REST (RFC 9457), and the same tokens, CORS origins and rate limits apply.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common import text
from server.errors import ProblemError, StoreAwayError
from server.live.broadcast import Broadcast
from server.live.metrics import LiveMetrics
from server.query.devices import DeviceLookup
from server.settings import ServerSettings
from server.store import live_stream
from server.store.live_stream import Position
from server.store.redis_store import RedisStore
from server.store.tokens import Token
from server.web import metrics, problems
from server.web.auth import Guard
from server.web.cors import parse_origins
from server.web.rate_limit import UNLIMITED, RateLimit

_ALL = "/api/v1/live"
_ONE = "/api/v1/devices/{mac}/live"
_STREAM_HEADERS = {"X-Accel-Buffering": "no"}
"""Tells nginx to pass events on at once."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def create_app(store: RedisStore, settings: ServerSettings, guard: Guard, broadcast: Broadcast) -> Starlette:
    """Return the application; something else has to run `broadcast.follow`.

    Args:
        store: Finds devices.
        settings: CORS origins and the rate limit.
        guard: Checks tokens.
        broadcast: Delivers the events.
    """
    metrics.register_failures(broadcast.metrics.registry, lambda: guard.failures)

    async def authorize(request: Request) -> Token:
        return await asyncio.to_thread(guard.check, request.headers.get("authorization"), "viewer", _address(request))

    async def is_authorized(request: Request) -> bool:
        """Return whether the token is still accepted; it is while the store is away."""
        return await asyncio.to_thread(guard.find, request.headers.get("authorization")) is not None

    async def livez(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        broadcast.check()
        return JSONResponse({"status": "ready"})

    async def show_metrics(request: Request) -> Response:
        await authorize(request)
        return Response(broadcast.metrics.text(), headers={"Content-Type": metrics.CONTENT_TYPE})

    async def stream(request: Request) -> ASGIApp:
        token = await authorize(request)
        mac = request.path_params.get("mac")
        device = (await asyncio.to_thread(DeviceLookup(store, settings).find, mac)).id if mac is not None else None
        since = _last_event(request)
        await broadcast.catch_up(since)

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            with broadcast.subscribe(device, token, _address(request)) as subscriber:
                events = broadcast.events(subscriber, device, since, lambda: is_authorized(request))
                response = StreamingResponse(events, headers=_STREAM_HEADERS, media_type="text/event-stream")
                await response(scope, receive, send)

        return respond

    app = Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", show_metrics),
            _stream_route(_ALL, stream),
            _stream_route(_ONE, stream),
        ],
        middleware=[
            Middleware(_Observer, metrics=broadcast.metrics),
            *_cors(settings.cors_origins),
            Middleware(_Limiter, limit=RateLimit(guard, settings.requests_per_minute)),
        ],
        exception_handlers={
            ProblemError: _refuse,
            StoreAwayError: _refuse,
            HTTPStatus.NOT_FOUND: _not_found,
            HTTPStatus.METHOD_NOT_ALLOWED: _not_allowed,
        },
    )
    app.router.redirect_slashes = False
    return app


class _Observer:
    """Adds headers to each response, and counts it."""

    def __init__(self, app: ASGIApp, metrics: LiveMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def observe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                route = scope["route"].path.replace("{mac}", "<mac>") if "route" in scope else "none"
                method = scope["method"] if scope["method"] in {"GET", "OPTIONS"} else "any"
                self._metrics.answered(route, method, message["status"])
            await send(message)

        await self._app(scope, receive, observe)


class _Limiter:
    """Refuses a client that sends too many requests, or one with a body, which no route reads."""

    def __init__(self, app: ASGIApp, limit: RateLimit) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self._app
        request = Request(scope)
        if "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0":
            app = _refuse_body(request)
        elif scope["path"] not in UNLIMITED:
            try:
                await asyncio.to_thread(self._limit.check, request.headers.get("authorization"), _address(request))
            except ProblemError as error:
                app = _refuse(request, error)
        await app(scope, receive, send)


def _cors(origins: str) -> list[Middleware]:
    """Return the middleware that lets pages of some origins read the events; none without origins."""
    allowed = parse_origins(origins)
    if not allowed:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=allowed,
            allow_methods=["GET"],
            allow_headers=["Authorization", "Last-Event-ID"],
            expose_headers=["Retry-After"],
        )
    ]


def _stream_route(path: str, endpoint: Callable[[Request], Awaitable[ASGIApp]]) -> Route:
    """Return a route without HEAD, which Starlette adds to GET: the response to it would never end."""
    route = Route(path, endpoint)
    route.methods = {"GET"}
    return route


def _refuse(request: Request, error: Exception) -> Response:
    """Return the response to a request that failed."""
    assert isinstance(error, ProblemError | StoreAwayError)
    return Response(*problems.respond(error, _path(request)))


def _refuse_body(request: Request) -> Response:
    """Return the response to a request with a body, which is not read."""
    detail = "the request has a body: ask for live events without one"
    response = _refuse(request, ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail))
    response.headers["Connection"] = "close"
    return response


def _not_found(request: Request, _error: Exception) -> Response:
    detail = (
        f"unknown path {text.quote(_path(request))}: live events are at {_ALL} and {_ONE}, the REST API serves the rest"
    )
    return _refuse(request, ProblemError(HTTPStatus.NOT_FOUND, detail))


def _not_allowed(request: Request, _error: Exception) -> Response:
    detail = f"{request.method} is not allowed on {text.quote(_path(request))}: use GET"
    response = _refuse(request, ProblemError(HTTPStatus.METHOD_NOT_ALLOWED, detail))
    response.headers["Allow"] = "GET"
    return response


def _path(request: Request) -> str:
    """Return the path; `request.url` would mix it with whatever the header Host says."""
    path: str = request.scope["path"]
    return path


def _address(request: Request) -> str:
    """Return the address of the client."""
    return request.client.host if request.client else ""


def _last_event(request: Request) -> Position | None:
    """Return the position of the last event that a client has got; None for a new client.

    Raises:
        ProblemError: the header is no id of an event.
    """
    text = request.headers.get("last-event-id")
    try:
        return live_stream.parse(text) if text else None
    except ValueError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"Last-Event-ID {error}") from error
