"""The dashboard knows when to draw: from live events, or from the clock without them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from brokers import DEVICE, OTHER_DEVICE
from clients import VIEWER
from live_events import LiveServer
from records import reading, status
from services import RunningStore, wait_until

from broker.topics import mac_address
from dashboard import news
from dashboard.news import News

ONE, OTHER = mac_address(DEVICE), mac_address(OTHER_DEVICE)


class Clock:
    """A clock that stands still until it is moved."""

    now_s = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@contextmanager
def hearing(heard: News, store: RunningStore) -> Iterator[LiveServer]:
    """Serve live events and listen to them as long as the context lasts."""
    server = LiveServer(store)
    heard._url = f"{server.url}/api/v1/live"
    thread = threading.Thread(target=heard._hear)
    thread.start()
    try:
        wait_until(lambda: server.subscribers() == 1 and heard._is_live, "the dashboard listens")
        yield server
    finally:
        server.stop()
        thread.join()


def test_a_mark_changes_with_what_is_heard_of_a_device(redis_store: RunningStore) -> None:
    """An event is news of its device and of the list, soon after it came and for nobody else."""
    clock = Clock()
    heard = News("", VIEWER, clock)
    with hearing(heard, redis_store) as server:
        before = heard.mark(ONE), heard.mark(OTHER), heard.list_mark()
        server.send(DEVICE, status(), reading(0, server.store.now()))
        wait_until(lambda: heard._counts.total() == 2, "both events came")
        assert (heard.mark(ONE), heard.mark(OTHER), heard.list_mark()) == before
        clock.now_s += news.TOGETHER_S
        after = heard.mark(ONE), heard.mark(OTHER), heard.list_mark()
    assert [mark == earlier for mark, earlier in zip(after, before, strict=True)] == [False, True, False]
    assert "polled" not in "".join(before + after)


def test_everything_is_new_when_something_may_have_been_missed(redis_store: RunningStore) -> None:
    """After a gap in what was told, and after listening has begun anew, no mark is the old one."""
    heard = News("", VIEWER, Clock())
    marks = [heard.mark(ONE)]
    for _ in range(2):
        with hearing(heard, redis_store):
            marks.append(heard.mark(ONE))
            heard._note(None)
            marks.append(heard.mark(ONE))
    assert len(set(marks)) == 5


@pytest.mark.parametrize(("is_live", "every_s"), [(False, news.POLL_S), (True, news.QUIET_S)])
def test_time_is_news_as_well(*, is_live: bool, every_s: float) -> None:
    """Without events the mark changes by the clock, and no sooner: seldom while events would come, often without."""
    clock = Clock()
    heard = News("", VIEWER, clock)
    if is_live:
        heard._begin()
    marks = []
    for _ in range(5):
        marks.append(heard.mark(ONE))
        assert heard.mark(ONE) == marks[-1]
        clock.now_s += every_s
    assert len(set(marks)) == 5


def test_the_list_of_a_large_fleet_is_new_more_seldom() -> None:
    """With a thousand devices that speak, the list waits for seconds, and one device's own picture does not."""
    clock = Clock()
    heard = News("", VIEWER, clock)
    heard._begin()
    for number in range(1000):
        heard._note(f"device {number}")
    before = heard.mark("device 7"), heard.list_mark()
    heard._note("device 7")
    clock.now_s += news.TOGETHER_S
    assert heard.mark("device 7") != before[0]
    assert heard.list_mark() == before[1]
    clock.now_s += 1000 * news.LIST_S_PER_DEVICE
    assert heard.list_mark() != before[1]


def test_a_refusal_ends_listening_in_a_sentence(redis_store: RunningStore) -> None:
    """A token that the server does not know is no reason to fail, and neither is a server that is not there."""
    server = LiveServer(redis_store)
    assert News(server.url, "wrong")._hear() == "answers with status 401"
    assert News("http://127.0.0.1:9", VIEWER)._hear() == "does not answer"
    assert News(f"{server.url}/livez?", VIEWER)._hear() == "has ended the stream"
    server.stop()
