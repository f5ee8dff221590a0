"""Subscribers to live events and their queues; all in one event loop."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable

import msgspec

from broker.topics import mac_address
from server.live.metrics import Reason
from server.store.live_stream import LiveEvent, Position

_QUEUE_BYTES = 2**20
"""Longest queue of one subscriber; a slower one is dropped and can resume with its last event id."""
_CHUNK_BYTES = 65_536
"""Handed to a connection at once. Subscribers share the bytes of what waits behind it."""


class Subscriber:
    """The queue of one client.

    Args:
        position: In the live stream; later events are queued.
    """

    def __init__(self, position: Position) -> None:
        self.position = position
        self.ended: Reason | None = None
        """Why nothing more is queued; None while it is."""
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()

    def put(self, chunk: bytes) -> None:
        """Queue some bytes, or drop the subscriber if its queue grows too long."""
        if self.ended:
            return
        self._bytes += len(chunk)
        if self._bytes > _QUEUE_BYTES:
            self._queue.clear()
            self.end(Reason.SLOW)
            return
        self._queue.append(chunk)
        self._changed.set()

    def end(self, reason: Reason) -> None:
        """Let `take` return None once the queue is empty; the first reason counts."""
        self.ended = self.ended or reason
        self._changed.set()

    async def take(self, timeout_s: float) -> bytes | None:
        """Return the next chunk; empty if none comes before the timeout, None at the end."""
        if not self._queue and not self.ended:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait()
            except TimeoutError:
                return b""
        self._changed.clear()
        taken: list[bytes] = []
        size = 0
        while self._queue and size < _CHUNK_BYTES:
            taken.append(self._queue.popleft())
            size += len(taken[-1])
        self._bytes -= size
        return b"".join(taken) or (None if self.ended else b"")


class Subscribers:
    """All subscribers, each to one device or to all devices.

    Args:
        position: In the live stream; everything up to it is published.
    """

    def __init__(self, position: Position) -> None:
        self.position = position
        self._by_device: dict[str | None, set[Subscriber]] = defaultdict(set)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(map(len, self._by_device.values()))

    def add(self, device: str | None) -> Subscriber:
        """Return a new subscriber to a device, or to all devices (None)."""
        subscriber = Subscriber(self.position)
        self._by_device[device].add(subscriber)
        return subscriber

    def remove(self, device: str | None, subscriber: Subscriber) -> None:
        """Forget a subscriber."""
        self._by_device[device].discard(subscriber)
        if not self._by_device[device]:
            del self._by_device[device]

    def publish(self, events: Iterable[LiveEvent], position: Position) -> int:
        """Queue events for their subscribers, encoding each event once; return the number of deliveries."""
        count = 0
        chunks: dict[str | None, list[bytes]] = defaultdict(list)
        for event in events:
            wanted = [key for key in (event.device, None) if key in self._by_device]
            if wanted:
                encoded = encode(event)
                for key in wanted:
                    chunks[key].append(encoded)
        for key, found in chunks.items():
            chunk = b"".join(found)
            for subscriber in self._by_device[key]:
                subscriber.put(chunk)
            count += len(found) * len(self._by_device[key])
        self.position = position
        return count

    def end(self) -> None:
        """End every subscriber, because the process stops."""
        for subscribers in self._by_device.values():
            for subscriber in subscribers:
                subscriber.end(Reason.STOP)


def encode(event: LiveEvent) -> bytes:
    """Return an event as the bytes of a server-sent event (HTML Living Standard, section 9.2)."""
    facts = msgspec.json.encode({"mac_address": mac_address(event.device), **event.facts})
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (str(event.position).encode(), event.kind.encode(), facts)
