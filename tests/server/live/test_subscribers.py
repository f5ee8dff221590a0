"""The queue of one subscriber, and how events are spread over all of them."""

import asyncio

import pytest
from brokers import DEVICE, OTHER_DEVICE

from server.live import subscribers
from server.live.metrics import Reason
from server.live.subscribers import Subscriber, Subscribers, encode
from server.store.live_stream import LiveEvent, Position

START = Position(1, 0, 0)


def event(nth: int, device: str = DEVICE) -> LiveEvent:
    """Return a status of a device."""
    return LiveEvent(Position(2, 0, nth), device, "status", {"state": "online"})


async def taken(subscriber: Subscriber) -> list[bytes | None]:
    """Return what can be taken at once, up to the first empty chunk or the end."""
    found = [await subscriber.take(0.01)]
    while found[-1]:
        found.append(await subscriber.take(0.01))
    return found


def test_the_queue_is_emptied_before_the_end() -> None:
    """What waits is still delivered after the end, and the first reason counts."""
    subscriber = Subscriber(START)
    subscriber.put(b"one")
    assert asyncio.run(taken(subscriber)) == [b"one", b""]
    subscriber.put(b"two")
    subscriber.end(Reason.STOP)
    subscriber.end(Reason.TOKEN)
    subscriber.put(b"too late")
    assert asyncio.run(taken(subscriber)) == [b"two", None]
    assert subscriber.ended is Reason.STOP


def test_a_slow_subscriber_is_dropped_with_its_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory is free at once."""
    monkeypatch.setattr(subscribers, "_QUEUE_BYTES", 5)
    subscriber = Subscriber(START)
    subscriber.put(b"12345")
    assert subscriber.ended is None
    subscriber.put(b"6")
    assert subscriber.ended is Reason.SLOW
    assert asyncio.run(taken(subscriber)) == [None]


def test_events_go_to_subscribers_of_their_device_and_of_all() -> None:
    """A subscriber to another device gets nothing, and one that was removed neither."""
    group = Subscribers(START)
    one, other, everything, gone = (group.add(device) for device in (DEVICE, OTHER_DEVICE, None, None))
    group.remove(None, gone)
    assert len(group) == 3
    assert group.publish([event(0), event(1)], Position(2, 0, 1)) == 4
    both = encode(event(0)) + encode(event(1))
    assert [asyncio.run(taken(each))[0] for each in (one, other, everything, gone)] == [both, b"", both, b""]
    assert group.add(None).position == Position(2, 0, 1)
