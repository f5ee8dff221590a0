"""What waits for the store is taken in order, in batches not too large, and put back before what came since."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from records import DEVICE

from server.ingest.batch_queue import BatchQueue
from server.ingest.delivery import Delivery

_ids = count()


def message(records: int, device: str = DEVICE) -> Delivery:
    """Return a message with so many records, or, for 7, with a status."""
    kind = "status" if records == 7 else "reading"
    return Delivery("topic", bytes(records), next(_ids), 1, 1, device=device, kind=kind, weight=max(1, records))


@given(sizes=st.lists(st.integers(0, 100), max_size=40), backs=st.lists(st.booleans(), max_size=40))
def test_every_message_is_taken_once_and_in_order(sizes: list[int], backs: list[bool]) -> None:
    """Whatever is put back in between, messages come out in the order in which they came, and the counts stay right."""
    queue = BatchQueue()
    sent = [message(size) for size in sizes]
    for one in sent:
        queue.add(one)
    assert queue.statuses == sizes.count(7)
    taken: list[Delivery] = []
    for back in [*backs, *[False] * len(sizes)]:
        batch = queue.take()
        assert sum(one.weight for one in batch) <= 1000
        if back:
            queue.put_back(batch)
        else:
            taken += batch
    assert taken == sent
    assert (len(queue), queue.records, queue.bytes, queue.statuses) == (0, 0, 0, 0)


def test_a_batch_has_600_messages_at_most() -> None:
    """What is too much for one batch waits for the next."""
    queue = BatchQueue()
    for _ in range(700):
        queue.add(message(1))
    assert [len(queue.take()), len(queue.take()), len(queue.take())] == [600, 100, 0]


@given(sizes=st.lists(st.integers(0, 100), max_size=60), devices=st.lists(st.integers(0, 4), min_size=60, max_size=60))
def test_devices_have_turns_and_each_its_order(sizes: list[int], devices: list[int]) -> None:
    """Batches hold every message once, those of each device in the order in which they came."""
    queue = BatchQueue()
    sent = [message(size, str(device)) for size, device in zip(sizes, devices, strict=False)]
    for one in sent:
        queue.add(one)
    taken: list[Delivery] = []
    while batch := queue.take():
        taken += batch
    for device in map(str, range(5)):
        assert [one for one in taken if one.device == device] == [one for one in sent if one.device == device]
    assert len(taken) == len(sent)


def test_who_sends_much_delays_nobody_else() -> None:
    """Behind 5,000 messages of one device, the first message of another is in the next batch."""
    queue = BatchQueue()
    for _ in range(5_000):
        queue.add(message(1))
    queue.add(message(1, "other"))
    first = queue.take()
    assert "other" in {one.device for one in first[:60]}
