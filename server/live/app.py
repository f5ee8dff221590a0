"""The live process: server-sent events of what devices hear now, apart from REST so that listeners cannot starve it.

One event loop serves all listeners; what asks the store runs in threads. A client that is cut off comes again with the
last id that it has seen, and misses and repeats nothing as long as the store keeps that.
"""

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http import HTTPStatus

import uvicorn

from server.errors import ProblemError, StoreAwayError, UnusableError
from server.live.asgi import Exchange, Message, Receive, Send
from server.live.metrics import LiveMetrics, Reason
from server.live.subscribers import Listener, Listeners, word
from server.query.devices import DeviceLookup
from server.settings import ServerSettings
from server.store import live_stream, migrations
from server.store.live_stream import Feed, Place
from server.store.types import Store
from server.web import metrics
from server.web.auth import Guard
from server.web.cors import Cors
from server.web.rate_limit import Limit

log = logging.getLogger(__name__)

_HEARTBEAT_S = 15.0
"""How often a listener hears something, and its token is looked at again."""
_LOOK_S = 0.05
_LOOK_IDLE_S = 0.5
"""How often the store is asked for news while somebody listens, and else."""
_RETRY_S = 2.0
_ENTRIES_PER_LOOK = 100
_MOST_LISTENERS = 5000
_MOST_OF_ONE = 1000
"""Listeners with one token at one address, so that nobody takes all places."""
_FULL_RETRY_S = 60
_STUCK_MS = 60_000
"""After that the system gives up a client that takes nothing."""
_SYSTEM_KEEPS_BYTES = 131_072
"""Of what is on its way to a client, about; else the system takes megabytes for each slow one."""
_HELLO = b"retry: 3000\n: moodwire\n\n"
_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
_JSON = "application/json"
_ALL, _ONE, _NONE = "/api/v1/live", "/api/v1/devices/<mac>/live", "none"
_METHODS = frozenset(["GET", "OPTIONS"])


class Live:
    """The ASGI application."""

    def __init__(self, store: Store, settings: ServerSettings, guard: Guard) -> None:
        self._feed: Feed = store.feed
        self._lookup = DeviceLookup(store, settings)
        self._guard = guard
        self._limit = Limit(guard, settings.requests_per_minute)
        self._cors = Cors(settings.cors_origins)
        self._listeners: Listeners | None = None
        """None until the store has answered."""
        self._held: Counter[str] = Counter()
        """Listeners of each token and address."""
        self._metrics = LiveMetrics(lambda: len(self._listeners or ()))
        self._stopping = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = Exchange(scope, receive, send)
        route, mac = _route(exchange.path)
        if self._cors:
            exchange.added = {"Vary": "Origin"} | self._cors.headers(
                exchange.method, exchange.headers.get("origin", "")
            )
        try:
            await self._answer(exchange, route, mac)
        except ProblemError as error:
            await exchange.refuse(error)
        except StoreAwayError as error:
            await exchange.refuse(ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, str(error), 5))
        finally:
            if exchange.status is not None:
                method = exchange.method if exchange.method in _METHODS else "any"
                self._metrics.answered(route, method, exchange.status)

    async def follow(self, stopping: Callable[[], bool]) -> None:
        """Pass on what comes until it is time to stop."""
        said = False
        while not stopping():
            try:
                await self._look()
            except StoreAwayError as error:
                self._metrics.store_up.set(0)
                if not said:
                    log.warning("%s; listeners hear nothing until it does", error)
                    said = True
                await asyncio.sleep(_RETRY_S)
                continue
            self._metrics.store_up.set(1)
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
            self._metrics.events.inc(len(events))
            self._metrics.sent.inc(self._listeners.publish(events, position))
            if position == before or self._stopping:
                return

    async def _answer(self, exchange: Exchange, route: str, mac: str | None) -> None:
        """Answer a request, or raise why not.

        Raises:
            ProblemError: the request is not right, or there are too many.
            StoreAwayError: whether it is right cannot be said.
        """
        if self._cors.is_preflight(exchange.method, exchange.headers.get("access-control-request-method")):
            await exchange.begin(HTTPStatus.NO_CONTENT, {})
            await exchange.pass_on(b"", more=False)
            return
        if route == "/livez":
            await exchange.answer(HTTPStatus.OK, _JSON, b'{"status":"alive"}')
            return
        await asyncio.to_thread(self._limit.check, exchange.token, exchange.address)
        _check_path(exchange, route)
        if route == "/readyz":
            await asyncio.to_thread(self._feed.begins)
            self._known()
            await exchange.answer(HTTPStatus.OK, _JSON, b'{"status":"ready"}')
            return
        token = await asyncio.to_thread(self._guard.check, exchange.token, "viewer")
        if route == "/metrics":
            await exchange.answer(HTTPStatus.OK, metrics.TEXT, self._metrics.text())
            return
        device = (await asyncio.to_thread(self._lookup.find, mac)).id if mac is not None else None
        await self._listen(exchange, device, f"{token.name} {exchange.address}")

    async def _listen(self, exchange: Exchange, device: str | None, who: str) -> None:
        """Stream events of a device, or of all, until one side goes."""
        listeners, since = self._known(), _since(exchange.headers)
        if since is not None:
            await _wait_for(listeners, since)
        with self._place(listeners, device, who) as listener:
            upto, reason = listeners.position, Reason.STOP
            try:
                await exchange.begin(HTTPStatus.OK, _HEADERS)
                await exchange.pass_on(_HELLO)
                if since is not None:
                    await self._repeat(exchange, since, upto, device)
                reason = await self._pass_on(exchange, listener)
                await exchange.pass_on(b"", more=False)
            except StoreAwayError:
                reason = Reason.STORE
                raise
            finally:
                self._metrics.ended(reason)

    @contextlib.contextmanager
    def _place(self, listeners: Listeners, device: str | None, who: str) -> Iterator[Listener]:
        """Hold a place among the listeners as long as the context lasts.

        Raises:
            ProblemError: there are too many already.
        """
        if self._held[who] >= _MOST_OF_ONE:
            detail = (
                f"this token listens {_MOST_OF_ONE} times from this address, and more are not served: end one first"
            )
            raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, detail, _FULL_RETRY_S)
        if len(listeners) >= _MOST_LISTENERS:
            detail = f"{_MOST_LISTENERS} clients listen already, and no more are served: try again later"
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, _FULL_RETRY_S)
        self._held[who] += 1
        listener = listeners.join(device)
        try:
            yield listener
        finally:
            listeners.leave(device, listener)
            self._held[who] -= 1
            self._held += Counter()  # forgets those who have none

    async def _repeat(self, exchange: Exchange, since: Place, upto: Place, device: str | None) -> None:
        """Send what a client has missed behind a place, up to where its listener begins."""
        begins = await asyncio.to_thread(self._feed.begins)
        if since.entry != upto.entry and (begins is None or begins > since):
            await exchange.pass_on(b'event: missed\ndata: {"after":"%s"}\n\n' % str(since).encode())
        place = since
        while place < upto:
            events, behind = await asyncio.to_thread(self._feed.after, place, _ENTRIES_PER_LOOK)
            wanted = [event for event in events if event.place <= upto and device in (None, event.device)]
            if wanted:
                await exchange.pass_on(b"".join(map(word, wanted)))
                self._metrics.sent.inc(len(wanted))
            if behind == place:
                return
            place = behind

    async def _pass_on(self, exchange: Exchange, listener: Listener) -> Reason:
        """Send what a listener gets, and return why that came to an end."""
        gone = asyncio.create_task(exchange.wait_for_end())
        gone.add_done_callback(lambda _: listener.end())
        check_at_s = time.monotonic() + _HEARTBEAT_S
        try:
            while not gone.done():
                chunk = await listener.take(_HEARTBEAT_S)
                if chunk is None:
                    break
                if time.monotonic() >= check_at_s:
                    if not await self._is_welcome(exchange.token):
                        return Reason.TOKEN
                    check_at_s = time.monotonic() + _HEARTBEAT_S
                await exchange.pass_on(chunk or b": still here\n\n")
            if listener.is_slow:
                return Reason.SLOW
            return Reason.CLIENT if gone.done() else Reason.STOP
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


def serve(store: Store, settings: ServerSettings) -> None:
    """Serve live events until SIGTERM or SIGINT.

    Raises:
        UnusableError: the address or port cannot be listened on, or the store holds data in another layout.
    """
    with contextlib.suppress(StoreAwayError):  # it is waited for
        migrations.check(store)
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
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SYSTEM_KEEPS_BYTES)  # connections inherit it
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_MS)
    return listening


def _allow_many_connections() -> None:
    """Let the process have as many open connections as the system allows it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _route(path: str) -> tuple[str, str | None]:
    """Return the pattern of a path, and the address of the device in it if there is one."""
    match path.split("/")[1:]:
        case ["livez" | "readyz" | "metrics"]:
            return path, None
        case ["api", "v1", "live"]:
            return _ALL, None
        case ["api", "v1", "devices", mac, "live"]:
            return _ONE, mac
    return _NONE, None


def _check_path(exchange: Exchange, route: str) -> None:
    """Let a request pass.

    Raises:
        ProblemError: there is no such path, or another method than GET.
    """
    if route == _NONE:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            f"there is no {exchange.path} here: {_ALL} and {_ONE} are; the rest is REST's",
        )
    if exchange.method != "GET":
        raise ProblemError(
            HTTPStatus.METHOD_NOT_ALLOWED, f"{exchange.method} is not possible on {exchange.path}: GET is"
        )


def _since(headers: dict[str, str]) -> Place | None:
    """Return behind which event a client wants to go on.

    Raises:
        ProblemError: what it says is no event's id.
    """
    text = headers.get("last-event-id")
    try:
        return live_stream.parse(text) if text else None
    except ValueError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"Last-Event-ID {error}") from error


async def _wait_for(listeners: Listeners, place: Place) -> None:
    """Wait a moment if a client has heard more than we, from a neighbour or a predecessor of this process."""
    for _ in range(round(2 * _LOOK_IDLE_S / _LOOK_S)):
        if listeners.position >= place:
            return
        await asyncio.sleep(_LOOK_S)
