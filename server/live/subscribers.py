"""Who listens to what happens now, and what waits for each of them; all in one event loop."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable

import msgspec

from broker.topics import mac_address
from server.store.live_stream import Event, Place

_MOST_WAITING_BYTES = 2**20
"""Of one listener; who is further behind is sent away and can come again with the last id that it has seen."""
_AT_ONCE_BYTES = 65_536
"""So much is handed to the connection of a listener; of what waits behind it all listeners share the bytes."""


class Listener:
    """What waits for one client."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._ended = False
        self.is_slow = False
        """Whether it was ended because too much waited."""
        self._something = asyncio.Event()

    def put(self, chunk: bytes) -> None:
        """Let some bytes wait, or end if it would be too many."""
        if self._ended:
            return
        self._bytes += len(chunk)
        if self._bytes > _MOST_WAITING_BYTES:
            self._waiting.clear()
            self.is_slow = True
            self.end()
            return
        self._waiting.append(chunk)
        self._something.set()

    def end(self) -> None:
        """Let `take` return None once all that waits is taken."""
        self._ended = True
        self._something.set()

    async def take(self, timeout_s: float) -> bytes | None:
        """Return what waits; empty if there is nothing for so long, None at the end."""
        if not self._waiting and not self._ended:
            try:
                await asyncio.wait_for(self._something.wait(), timeout_s)
            except TimeoutError:
                return b""
        self._something.clear()
        taken: list[bytes] = []
        size = 0
        while self._waiting and size < _AT_ONCE_BYTES:
            taken.append(self._waiting.popleft())
            size += len(taken[-1])
        self._bytes -= size
        return b"".join(taken) or (None if self._ended else b"")


class Listeners:
    """All listeners, each to one device or to all of them."""

    def __init__(self, position: Place) -> None:
        self.position = position
        """Everything up to here has been passed on."""
        self._by_device: dict[str | None, set[Listener]] = defaultdict(set)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(map(len, self._by_device.values()))

    def join(self, device: str | None) -> Listener:
        """Return a new listener, which gets everything behind `position`."""
        listener = Listener()
        self._by_device[device].add(listener)
        return listener

    def leave(self, device: str | None, listener: Listener) -> None:
        """Forget a listener."""
        self._by_device[device].discard(listener)
        if not self._by_device[device]:
            del self._by_device[device]

    def publish(self, events: Iterable[Event], position: Place) -> int:
        """Pass events on, each worded once, however many listen; return how many listeners got one, over all events."""
        count = 0
        chunks: dict[str | None, list[bytes]] = defaultdict(list)
        for event in events:
            wanted = [key for key in (event.device, None) if key in self._by_device]
            if wanted:
                text = word(event)
                for key in wanted:
                    chunks[key].append(text)
        for key, texts in chunks.items():
            chunk = b"".join(texts)
            for listener in self._by_device[key]:
                listener.put(chunk)
            count += len(texts) * len(self._by_device[key])
        self.position = position
        return count

    def end(self) -> None:
        """Send everybody away."""
        for listeners in self._by_device.values():
            for listener in listeners:
                listener.end()


def word(event: Event) -> bytes:
    """Return an event as the text of server-sent events."""
    facts = msgspec.json.encode({"mac_address": mac_address(event.device), **event.facts})
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (str(event.place).encode(), event.kind.encode(), facts)
