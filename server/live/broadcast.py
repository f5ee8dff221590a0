"""Follows the store's live stream and delivers its events to subscribers.

A client that was cut off resumes with the id of its last event, and misses and repeats nothing while the store keeps
what came since.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from common.outage import Outage
from server.errors import StoreAwayError
from server.live.metrics import LiveMetrics, Reason
from server.live.places import Places
from server.live.subscribers import Subscriber, Subscribers, encode
from server.store.live_stream import LiveStream, Position
from server.store.tokens import Token

log = logging.getLogger(__name__)

_HEARTBEAT_S = 15.0
"""Longest silence on a connection, and how often a subscriber's token is checked again."""
_POLL_S = 0.05
"""How often the store is polled while there are subscribers."""
_POLL_IDLE_S = 0.5
"""The same without subscribers."""
_RETRY_S = 2.0
_ENTRIES_PER_POLL = 100
_HELLO = b"retry: 3000\n: moodwire\n\n"
_HEARTBEAT = b": still here\n\n"


class Broadcast:
    """All events for all subscribers.

    Args:
        live_stream: The events in the store.
        prepare: Called once, in a thread, when the store answers for the first time.
    """

    def __init__(self, live_stream: LiveStream, prepare: Callable[[], None]) -> None:
        self.subscribers: Subscribers | None = None
        """None until the store has answered."""
        self.metrics = LiveMetrics(lambda: len(self.subscribers or ()))
        self._live_stream = live_stream
        self._prepare = prepare
        self._places = Places()
        self._away: StoreAwayError | None = None
        """Why the store could not be followed at the last try."""
        self._stopping = False

    async def follow(self, stopping: Callable[[], bool]) -> None:
        """Publish what comes until it is time to stop, then end all subscribers."""
        outage = Outage(log)
        while not stopping():
            try:
                await self._poll()
            except StoreAwayError as error:
                self._away = error
                self.metrics.store_up.set(0)
                outage.begin("%s; subscribers get no events until it does", error)
                await asyncio.sleep(_RETRY_S)
                continue
            self._away = None
            self.metrics.store_up.set(1)
            outage.end("the store is back")
            await asyncio.sleep(_POLL_S if self.subscribers else _POLL_IDLE_S)
        self._stopping = True
        if self.subscribers is not None:
            self.subscribers.end()

    def check(self) -> None:
        """Let a request pass if events can be served, as far as following the store has shown; asks nobody.

        Raises:
            StoreAwayError: the store does not answer, or has not answered yet.
        """
        if self._away is not None:
            raise StoreAwayError(str(self._away))
        self._started()

    async def catch_up(self, since: Position | None) -> None:
        """Wait up to a second for events that the client has got already, from another live process.

        Raises:
            StoreAwayError: the store has not answered yet.
        """
        subscribers = self._started()
        for _ in range(round(2 * _POLL_IDLE_S / _POLL_S)):
            if since is None or subscribers.position >= since:
                return
            await asyncio.sleep(_POLL_S)

    @contextlib.contextmanager
    def subscribe(self, device: str | None, token: Token, address: str) -> Iterator[Subscriber]:
        """Subscribe a client to a device, or to all devices (None), as long as the context lasts.

        Args:
            device: Id of a device.
            token: The client's.
            address: The client's.

        Raises:
            ProblemError: there are too many subscribers.
            StoreAwayError: the store has not answered yet.
        """
        subscribers = self._started()
        with self._places.take(token, address):
            subscriber = subscribers.add(device)
            try:
                yield subscriber
            finally:
                subscribers.remove(device, subscriber)
                self.metrics.ended(subscriber.ended or Reason.CLIENT)

    async def events(
        self,
        subscriber: Subscriber,
        device: str | None,
        since: Position | None,
        is_authorized: Callable[[], Awaitable[bool]],
    ) -> AsyncIterator[bytes]:
        """Yield the stream of a subscriber: missed events, then what comes, and heartbeats in silence.

        Args:
            subscriber: Of this broadcast.
            device: The device that it is subscribed to; None for all.
            since: Last event that the client has got; None to begin now.
            is_authorized: Tells whether the client's token is still accepted; called at each heartbeat.
        """
        yield _HELLO
        if since is not None:
            try:
                async for missed in self._missed(since, subscriber.position, device):
                    yield missed
            except StoreAwayError:  # the client resumes with the id that it has
                subscriber.end(Reason.STORE)
                return
        check_at_s = time.monotonic() + _HEARTBEAT_S
        while (chunk := await subscriber.take(_HEARTBEAT_S)) is not None:
            if time.monotonic() >= check_at_s:
                if not await is_authorized():
                    subscriber.end(Reason.TOKEN)
                    return
                check_at_s = time.monotonic() + _HEARTBEAT_S
            yield chunk or _HEARTBEAT

    async def _poll(self) -> None:
        """Publish what is new in the store."""
        if self.subscribers is None:
            await asyncio.to_thread(self._prepare)
            self.subscribers = Subscribers(await asyncio.to_thread(self._live_stream.end))
        while True:
            before = self.subscribers.position
            events, position = await asyncio.to_thread(self._live_stream.after, before, _ENTRIES_PER_POLL)
            self.metrics.events.inc(len(events))
            self.metrics.sent.inc(self.subscribers.publish(events, position))
            if position == before or self._stopping:
                return

    async def _missed(self, since: Position, upto: Position, device: str | None) -> AsyncIterator[bytes]:
        """Yield the events between two positions, after an event `missed` if the store may have dropped some."""
        start = await asyncio.to_thread(self._live_stream.start)
        if since.entry != upto.entry and (start is None or start > since):
            yield b'event: missed\ndata: {"after":"%s"}\n\n' % str(since).encode()
        position = since
        while position < upto:
            events, behind = await asyncio.to_thread(self._live_stream.after, position, _ENTRIES_PER_POLL)
            wanted = [event for event in events if event.position <= upto and device in (None, event.device)]
            if wanted:
                self.metrics.sent.inc(len(wanted))
                yield b"".join(map(encode, wanted))
            if behind == position:
                return
            position = behind

    def _started(self) -> Subscribers:
        """Return the subscribers, or raise that the store has not answered yet."""
        if self.subscribers is None:
            raise StoreAwayError("the store has not answered yet")
        return self.subscribers
