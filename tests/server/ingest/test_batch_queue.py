"""What waits for the store is taken in order, in batches not too large, and put back before what came since."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from records import DEVICE, reading, status

from server.ingest.batch_queue import BatchQueue
from server.ingest.decode import Decoded
from server.ingest.delivery import Delivery

_ids = count()


def message(records: int, *, tells_status: bool = False) -> Delivery:
    """Return a message with so many records, or with a status."""
    written = [status()] if tells_status else [reading(seq, 0) for seq in range(records)]
    return Delivery("topic", b"", next(_ids), 1, 1, Decoded(DEVICE, written))


@given(sizes=st.lists(st.integers(0, 100), max_size=40), backs=st.lists(st.booleans(), max_size=40))
def test_every_message_is_taken_once_and_in_order(sizes: list[int], backs: list[bool]) -> None:
    """Whatever is put back in between, messages come out in the order in which they came, and the counts stay right."""
    queue = BatchQueue()
    sent = [message(size, tells_status=size == 7) for size in sizes]
    for one in sent:
        queue.add(one)
    assert queue.statuses == sizes.count(7)
    taken: list[Delivery] = []
    for back in [*backs, *[False] * len(sizes)]:
        batch = queue.take()
        assert sum(len(one.decoded.records) for one in batch) <= 1000
        if back:
            queue.put_back(batch)
        else:
            taken += batch
    assert taken == sent
    assert (len(queue), queue.records, queue.statuses) == (0, 0, 0)


def test_a_batch_has_600_messages_at_most() -> None:
    """What is too much for one batch waits for the next."""
    queue = BatchQueue()
    for _ in range(700):
        queue.add(message(1))
    assert [len(queue.take()), len(queue.take()), len(queue.take())] == [600, 100, 0]
