"""Batches go to the store several at a time, come back in order, and are taken back whole when one fails."""

import queue
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, cast

import pytest
from patience import REPLY_S
from records import DEVICE, reading, status
from services import wait_until

from broker.messages import Record
from server.errors import StoreAwayError
from server.ingest.decode import Decoded
from server.ingest.delivery import Delivery
from server.ingest.store_writer import StoreWriter
from server.store.redis_store import RedisStore
from server.store.types import Clock, DeviceMessage, Outcome

_ids = count()


def delivery(*, tells_status: bool = False) -> Delivery:
    """Return a message with one record, or with a status."""
    number = next(_ids)
    return Delivery("topic", b"", number, 1, 1, Decoded(DEVICE, [status() if tells_status else reading(number, 0)]))


class Store:
    """A store that answers when it is told to, one batch after the other."""

    def __init__(self) -> None:
        self.live_stream = self
        self.has_pending = False
        self.sent: list[list[tuple[str, DeviceMessage]]] = []
        self._answers: queue.Queue[Outcome | Exception] = queue.Queue()

    def commands(self) -> list[Any]:
        """Return no news."""
        return []

    def add(self, stored: Iterator[Any]) -> None:
        """Forget the news."""

    def generation(self, device: str) -> int:
        """Return the generation of each device."""
        return 7

    def send(
        self, records: list[tuple[str, DeviceMessage]], _news: Sequence[Any], _clock: Clock
    ) -> Callable[[], list[Outcome]]:
        """Take a batch."""
        self.sent.append(records)

        def wait() -> list[Outcome]:
            answer = self._answers.get()
            if isinstance(answer, Exception):
                raise answer
            return [answer] * len(records)

        return wait

    def answer(self, *answers: Outcome | Exception) -> None:
        """Answer so many batches."""
        for answer in answers:
            self._answers.put(answer)


@pytest.fixture
def store() -> Store:
    """Return a store that answers nothing yet."""
    return Store()


@pytest.fixture
def writer(store: Store) -> Iterator[StoreWriter]:
    """Return a writer to it, whose threads end with the test."""
    writer = StoreWriter(cast("RedisStore", store), lambda: None)
    yield writer
    store.answer(*[Outcome("stored")] * len(writer))
    writer.close()


def test_three_batches_at_most_are_at_the_store_and_come_back_in_order(store: Store, writer: StoreWriter) -> None:
    """Each is sent while the ones before are written; results are those of the records."""
    batches = [[delivery(), delivery()] for _ in range(3)]
    for number, batch in enumerate(batches):
        wait_until(lambda: writer.is_free(for_alone=False), "the batch before is sent")
        writer.write(batch, Clock(), alone=False)
        wait_until(lambda: len(store.sent) == number + 1, "it is sent")  # noqa: B023
    wait_until(writer._in_flight[-1].sent.done, "the last one is sent")
    assert not writer.is_free(for_alone=False)
    assert list(writer.results()) == []
    store.answer(Outcome("stored"), Outcome("erased"), Outcome("repeat"))
    wait_until(writer._in_flight[-1].result.done, "all are written")
    found = list(writer.results())
    assert [batch for batch, _ in found] == batches
    assert [result.outcomes[0] for _, result in found] == [Outcome("stored"), Outcome("erased"), Outcome("repeat")]
    assert [result.generations for _, result in found] == [{}, {DEVICE: 7}, {}]


def test_a_status_is_written_alone(store: Store, writer: StoreWriter) -> None:
    """It waits until nothing is at the store, and nothing goes while it is there."""
    writer.write([delivery()], Clock(), alone=False)
    wait_until(lambda: writer.is_free(for_alone=False), "the first batch is sent")
    assert not writer.is_free(for_alone=True)
    store.answer(Outcome("stored"))
    wait_until(lambda: list(writer.results()), "it is written")
    assert writer.is_free(for_alone=True)
    writer.write([delivery(tells_status=True)], Clock(), alone=True)
    wait_until(lambda: len(store.sent) == 2, "the status is sent")
    assert not writer.is_free(for_alone=False)


def test_what_failed_is_taken_back_with_all_behind_it(store: Store, writer: StoreWriter) -> None:
    """The failure shows once nothing is on its way any more, and the messages come back in the order they went."""
    batches = [[delivery()], [delivery()]]
    for batch in batches:
        wait_until(lambda: writer.is_free(for_alone=False), "the batch before is sent")
        writer.write(batch, Clock(), alone=False)
    store.answer(StoreAwayError("the store is away"))
    wait_until(writer._in_flight[0].result.done, "the first batch has failed")
    assert not writer.is_free(for_alone=False)
    assert list(writer.results()) == []
    store.answer(Outcome("stored"))
    wait_until(writer._in_flight[1].result.done, "the second batch is written")
    with pytest.raises(StoreAwayError, match="is away"):
        list(writer.results())
    assert writer.take_back() == [batches[0][0], batches[1][0]]
    assert len(writer) == 0


def test_other_work_waits_for_the_batches_before_it(store: Store, writer: StoreWriter) -> None:
    """It runs in the thread that counts what became of records, so never at the same time."""
    writer.write([delivery()], Clock(), alone=False)
    done = writer.run(lambda: isinstance(reading(0, 0), Record))
    assert not done.done()
    store.answer(Outcome("stored"))
    assert done.result(REPLY_S)
