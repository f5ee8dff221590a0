"""Writes batches of messages to the store, several at a time.

One thread sends, another one waits for the store's answers. While one batch is written, the next one is already on its
way, and another one gathers.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, ParamSpec, TypeVar

from server.ingest.delivery import Delivery
from server.store.redis_store import RedisStore
from server.store.types import Clock, DeviceMessage, Outcome, PendingWrite

_MAX_BATCHES = 3
"""At the store at a time: one is written, one is ready for it, one waits for the disk."""
P = ParamSpec("P")
T = TypeVar("T")


class Result(NamedTuple):
    """What became of a batch; all of it is on disk."""

    outcomes: list[Outcome | None]
    """Of its records, in order; None for one that is to be written again."""
    generations: dict[str, int]
    """Of devices that still send records of an erased one."""


class _Sent(NamedTuple):
    """What was sent to the store."""

    records: list[tuple[str, DeviceMessage]]
    """With the devices that they are from."""
    outcomes: PendingWrite


class _InFlight(NamedTuple):
    """A batch at the store."""

    batch: list[Delivery]
    is_alone: bool
    sent: "Future[_Sent]"
    result: "Future[Result]"


class StoreWriter:
    """The threads that talk with the store, and the batches that are there.

    Args:
        store: Where to write.
        on_done: Called from any thread when there may be something to collect.
    """

    def __init__(self, store: RedisStore, on_done: Callable[[], None]) -> None:
        self._store = store
        self._live_stream = store.live_stream
        self._on_done = on_done
        self._in_flight: deque[_InFlight] = deque()
        self._sender = ThreadPoolExecutor(1, "send")
        self._receiver = ThreadPoolExecutor(1, "receive")

    def __len__(self) -> int:
        """Return the number of batches at the store."""
        return len(self._in_flight)

    @property
    def has_news(self) -> bool:
        """Whether something was stored that listeners to live events will be told with the next batch."""
        return self._live_stream.has_pending

    def close(self) -> None:
        """End the threads after what they are doing."""
        self._sender.shutdown()
        self._receiver.shutdown()

    def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Do something else at the store, between two batches, in the thread that waits for its answers."""
        future = self._receiver.submit(work, *args, **kwargs)
        future.add_done_callback(lambda _: self._on_done())
        return future

    def is_free(self, *, for_alone: bool) -> bool:
        """Return whether the store can take another batch: few are there, and none of them failed.

        Args:
            for_alone: The batch must not be written at the same time as another one.
        """
        if not self._in_flight:
            return True
        last = self._in_flight[-1]
        if len(self._in_flight) == _MAX_BATCHES or not last.sent.done() or last.is_alone or for_alone:
            return False
        futures = [future for one in self._in_flight for future in (one.sent, one.result)]
        return not any(future.done() and future.exception() for future in futures)

    def write(self, batch: list[Delivery], clock: Clock, *, alone: bool) -> None:
        """Send a batch; with none, only the news for listeners to live events.

        Args:
            batch: Messages that are decoded.
            clock: What ingest knows of the time.
            alone: Send no other batch until this one is written.
        """
        sent = self._sender.submit(self._send, batch, clock)
        result = self._receiver.submit(self._receive, sent)
        for future in (sent, result):
            future.add_done_callback(lambda _: self._on_done())
        self._in_flight.append(_InFlight(batch, alone, sent, result))

    def results(self) -> Iterator[tuple[list[Delivery], Result]]:
        """Yield the batches that are on disk, in the order in which they were sent, and forget them.

        Raises:
            StoreAwayError: one was not written, and nothing is on its way any more: call `take_back`.
        """
        while self._in_flight and self._in_flight[0].result.done():
            first = self._in_flight[0]
            if first.result.exception() and not all(one.result.done() for one in self._in_flight):
                return
            result = first.result.result()
            self._in_flight.popleft()
            yield first.batch, result

    def take_back(self) -> list[Delivery]:
        """Return all messages at the store after a batch was not written, and forget them.

        Those of later batches too, even if they were written: a status must not overtake another one.
        """
        messages = [delivery for one in self._in_flight for delivery in one.batch]
        self._in_flight.clear()
        return messages

    def _send(self, batch: list[Delivery], clock: Clock) -> _Sent:
        """Send a batch; runs in the sender's thread.

        Raises:
            StoreAwayError: it could not be done.
        """
        records = [(delivery.decoded.device, record) for delivery in batch for record in delivery.decoded.records]
        news = self._live_stream.commands()
        return _Sent(records, self._store.send(records, news, clock) if records or news else list)

    def _receive(self, sent: "Future[_Sent]") -> Result:
        """Wait until a batch is on disk; runs in the receiver's thread.

        Raises:
            StoreAwayError: it could not be done.
        """
        records, written = sent.result()
        outcomes = written()
        pairs = list(zip(records, outcomes, strict=True))
        self._live_stream.add(record for record, outcome in pairs if outcome and outcome.kind == "stored")
        erased = {device for (device, _), outcome in pairs if outcome and outcome.kind == "erased"}
        return Result(outcomes, {device: self._store.generation(device) for device in erased})
