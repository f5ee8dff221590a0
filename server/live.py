"""The live process: server-sent events of what devices hear now, apart from REST so that listeners cannot starve it.

One event loop serves all listeners; what asks the store runs in threads. A client that is cut off comes again with the
last id that it has seen, and misses and repeats nothing as long as the store keeps that.
"""

import asyncio
import contextlib
import json
import logging
import resource
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import uvicorn

from server import feed
from server.auth import Guard
from server.feed import Feed, Place
from server.listeners import Listener, Listeners, word
from server.lookup import Lookup
from server.problems import ProblemError, StoreAwayError, UnusableError
from server.settings import ServerSettings
from server.store import Store

log = logging.getLogger(__name__)

_HEARTBEAT_S = 15.0
"""How often a listener hears something, and its token is looked at again."""
_LOOK_S = 0.05
_LOOK_IDLE_S = 0.5
"""How often the store is asked for news while somebody listens, and else."""
_RETRY_S = 2.0
_ENTRIES_PER_LOOK = 100
_MOST_LISTENERS = 5000
_STUCK_MS = 60_000
"""After that the system gives up a client that takes nothing."""
_HELLO = b"retry: 3000\n: moodwire\n\n"
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Live:
    """The ASGI application."""

    def __init__(self, store: Store, settings: ServerSettings, guard: Guard) -> None:
        self._feed: Feed = store.feed
        self._lookup = Lookup(store, settings)
        self._guard = guard
        self._listeners: Listeners | None = None
        """None until the store has answered."""
        self._stopping = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            if scope["path"] in ("/livez", "/readyz"):
                await self._say_health(scope["path"], send)
            else:
                await self._listen(scope, receive, send)
        except ProblemError as error:
            await _send_problem(send, scope["path"], error)
        except StoreAwayError as error:
            unavailable = ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, str(error), 5)
            await _send_problem(send, scope["path"], unavailable)

    async def follow(self, stopping: Callable[[], bool]) -> None:
        """Pass on what comes until it is time to stop."""
        said = False
        while not stopping():
            try:
                await self._look()
            except StoreAwayError as error:
                if not said:
                    log.warning("%s; listeners hear nothing until it does", error)
                    said = True
                await asyncio.sleep(_RETRY_S)
                continue
            if said:
                log.info("the store is back")
                said = False
            await asyncio.sleep(_LOOK_S if self._listeners else _LOOK_IDLE_S)
        self._stopping = True
        if self._listeners is not None:
            self._listeners.end()

    async def _look(self) -> None:
        """Pass on what is new."""
        if self._listeners is None:
            await asyncio.to_thread(self._guard.prepare)  # so that new tokens are printed at the start
            self._listeners = Listeners(await asyncio.to_thread(self._feed.end))
        while True:
            before = self._listeners.position
            events, position = await asyncio.to_thread(self._feed.after, before, _ENTRIES_PER_LOOK)
            self._listeners.publish(events, position)
            if position == before or self._stopping:
                return

    async def _listen(self, scope: Message, receive: Receive, send: Send) -> None:
        """Stream events until one side goes.

        Raises:
            ProblemError: the request is not right, or there are too many listeners.
            StoreAwayError: whether it is right cannot be said.
        """
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        await asyncio.to_thread(self._guard.check, headers.get("authorization"), "viewer")
        mac = _mac(scope)
        device = (await asyncio.to_thread(self._lookup.find, mac)).id if mac else None
        listeners = self._known()
        if len(listeners) >= _MOST_LISTENERS:
            detail = f"{_MOST_LISTENERS} clients listen already, and no more are served: try again later"
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, 60)
        since = _since(headers)
        if since is not None:
            await _wait_for(listeners, since)
        listener, upto = listeners.join(device), listeners.position
        try:
            await send(_start(HTTPStatus.OK, _HEADERS))
            await send(_body(_HELLO))
            if since is not None:
                await self._repeat(since, upto, device, send)
            await self._pass_on(listener, headers.get("authorization"), receive, send)
            await send(_body(b"", more=False))
        finally:
            listeners.leave(device, listener)

    async def _repeat(self, since: Place, upto: Place, device: str | None, send: Send) -> None:
        """Send what a client has missed behind a place, up to where its listener begins."""
        begins = await asyncio.to_thread(self._feed.begins)
        if since.entry != upto.entry and (begins is None or begins > since):
            await send(_body(b'event: missed\ndata: {"after":"%s"}\n\n' % str(since).encode()))
        place = since
        while place < upto:
            events, behind = await asyncio.to_thread(self._feed.after, place, _ENTRIES_PER_LOOK)
            wanted = [event for event in events if event.place <= upto and device in (None, event.device)]
            if wanted:
                await send(_body(b"".join(map(word, wanted))))
            if behind == place:
                return
            place = behind

    async def _pass_on(self, listener: Listener, token: str | None, receive: Receive, send: Send) -> None:
        """Send what a listener gets until it ends, the client goes, or its token is no longer good."""
        gone = asyncio.create_task(_wait_for_end(receive))
        gone.add_done_callback(lambda _: listener.end())
        check_at_s = time.monotonic() + _HEARTBEAT_S
        try:
            while not gone.done():
                chunk = await listener.take(_HEARTBEAT_S)
                if chunk is None:
                    return
                if time.monotonic() >= check_at_s:
                    if not await self._is_welcome(token):
                        return
                    check_at_s = time.monotonic() + _HEARTBEAT_S
                await send(_body(chunk or b": still here\n\n"))
        finally:
            gone.cancel()

    async def _is_welcome(self, token: str | None) -> bool:
        """Return whether a token is still good; while the store is away it is."""
        try:
            await asyncio.to_thread(self._guard.check, token, "viewer")
        except ProblemError:
            return False
        except StoreAwayError:
            pass
        return True

    def _known(self) -> Listeners:
        """Return the listeners, or raise that the store has not yet said where the news begin."""
        if self._listeners is None:
            raise StoreAwayError("the store has not answered yet")
        return self._listeners

    async def _say_health(self, path: str, send: Send) -> None:
        if path == "/readyz":
            await asyncio.to_thread(self._feed.begins)
            self._known()
        await send(_start(HTTPStatus.OK, {"Content-Type": "application/json"}))
        await send(_body(b'{"status":"ok"}', more=False))


def serve(store: Store, settings: ServerSettings) -> None:
    """Serve live events until SIGTERM or SIGINT.

    Raises:
        UnusableError: the address or port cannot be listened on.
    """
    _allow_many_connections()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn ends in order on these, and then raises them once more
    live = Live(store, settings, Guard(settings, store))
    with _listening(settings) as listening:
        log.info("live events are on http://%s:%s/api/v1/live", *listening.getsockname()[:2])
        asyncio.run(_serve(uvicorn.Server(_config(live)), live, listening))


def _config(live: Live) -> uvicorn.Config:
    """Return how the application is served; logs and tokens are our own."""
    return uvicorn.Config(
        live,
        lifespan="off",
        ws="none",
        loop="asyncio",
        http="h11",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )


async def _serve(server: uvicorn.Server, live: Live, listening: socket.socket) -> None:
    following = asyncio.create_task(live.follow(lambda: server.should_exit))
    await server.serve(sockets=[listening])
    await following


def _listening(settings: ServerSettings) -> socket.socket:
    """Return a socket that listens; a client that takes nothing for a while is given up by the system."""
    try:
        listening = socket.create_server((settings.live_host, settings.live_port), backlog=1024)
    except (OSError, OverflowError) as error:
        raise UnusableError(
            f"live_host {settings.live_host} with live_port {settings.live_port} cannot be listened on ({error}): "
            "an address of this machine with a free port is right"
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_MS)
    return listening


def _allow_many_connections() -> None:
    """Let the process have as many open connections as the system allows it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _mac(scope: Message) -> str | None:
    """Return the address of the device that is listened to, or None for all.

    Raises:
        ProblemError: there is no such path, or another method than GET.
    """
    words = scope["path"].split("/")[1:]
    if scope["method"] != "GET":
        raise ProblemError(
            HTTPStatus.METHOD_NOT_ALLOWED, f"{scope['method']} is not possible on {scope['path']}: GET is"
        )
    match words:
        case ["api", "v1", "live"]:
            return None
        case ["api", "v1", "devices", mac, "live"]:
            return str(mac)
    raise ProblemError(
        HTTPStatus.NOT_FOUND,
        f"there is no {scope['path']} here: /api/v1/live and /api/v1/devices/<mac>/live are; the rest is REST's",
    )


def _since(headers: dict[str, str]) -> Place | None:
    """Return behind which event a client wants to go on.

    Raises:
        ProblemError: what it says is no event's id.
    """
    text = headers.get("last-event-id")
    try:
        return feed.parse(text) if text else None
    except ValueError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"Last-Event-ID {error}") from error


async def _wait_for(listeners: Listeners, place: Place) -> None:
    """Wait a moment if a client has heard more than we, from a neighbour or a predecessor of this process."""
    for _ in range(round(2 * _LOOK_IDLE_S / _LOOK_S)):
        if listeners.position >= place:
            return
        await asyncio.sleep(_LOOK_S)


async def _wait_for_end(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_problem(send: Send, path: str, error: ProblemError) -> None:
    """Answer with a problem as RFC 9457 writes it."""
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = "GET"
    if error.retry_s is not None:
        headers["Retry-After"] = str(error.retry_s)
    body = {
        "type": "about:blank",
        "title": error.status.phrase,
        "status": error.status,
        "detail": str(error),
        "instance": path,
    }
    await send(_start(error.status, headers))
    await send(_body(json.dumps(body).encode(), more=False))


def _start(status: HTTPStatus, headers: dict[str, str]) -> Message:
    named = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": int(status), "headers": named}


def _body(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}
