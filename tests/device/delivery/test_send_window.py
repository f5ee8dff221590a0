"""What is sent when: bounded, oldest first, what is new without delay, again after a growing pause."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outboxes import OPEN, TestClock, open_outbox, put

from device.delivery.outbox import RECENT_MS
from device.delivery.send_window import (
    FIRST_RETRY_S,
    LEAST_RETRY,
    LONGEST_RETRY_S,
    MAX_BACKLOG,
    MAX_UNACKNOWLEDGED,
    MAX_UNCONFIRMED,
    Message,
    SendWindow,
)

OLD_BOOT = "f" * 16


class World:
    """An outbox with a backlog of an earlier boot, a send window, and a clock that moves when told."""

    def __init__(self, folder: Path, rows: int = 0, payload: bytes = b"{}") -> None:
        self.clock = TestClock()
        self.outbox = open_outbox(folder, max_rows=10_000, max_age_s=1e9, clock=self.clock)
        self.send_window = SendWindow(self.outbox, lambda: self.clock.since_start_ms / 1000)
        for seq in range(rows):
            put(self.outbox, seq, 0, OLD_BOOT, payload=payload)
        self.clock.advance(RECENT_MS / 1000 + 1)

    def put(self, seq: int) -> None:
        """Hear something now."""
        put(self.outbox, seq, self.clock.now_ms(), payload=b"{}")

    def sent(self) -> list[int]:
        """Return the numbers of the next batch."""
        return [row.seq for row in self.send_window.next_batch()]

    def confirm(self, first: int, last: int, boot: str = OLD_BOOT) -> None:
        """Let the server confirm a range."""
        self.outbox.confirm(boot, [(first, last)])
        self.send_window.confirmed(boot, [(first, last)])


MakeWorld = Callable[..., World]


@pytest.fixture
def world(tmp_path: Path) -> MakeWorld:
    """Return what makes the test's world."""
    return lambda *rows, **payload: World(tmp_path, *rows, **payload)


def test_a_single_row_goes_alone_and_only_once(world: MakeWorld) -> None:
    """A row that is on its way is not sent again at once."""
    here = world()
    here.put(0)

    assert here.sent() == [0]
    assert here.sent() == []


def test_a_backlog_goes_in_batches_oldest_first_up_to_the_bound(world: MakeWorld) -> None:
    """At most a bounded number is unconfirmed; what is confirmed makes room."""
    here = world(1_000)

    assert here.sent() == list(range(100))
    assert here.sent() == list(range(100, MAX_BACKLOG))
    assert here.sent() == []
    here.confirm(0, 49)
    assert here.sent() == list(range(MAX_BACKLOG, MAX_BACKLOG + 50))


def test_what_is_heard_now_does_not_wait_for_the_backlog(world: MakeWorld) -> None:
    """With all the room for the backlog taken, each new reading still goes at once, until the server has too many."""
    here = world(1_000)
    while here.sent():
        pass
    for seq in range(MAX_UNCONFIRMED - MAX_BACKLOG):
        here.put(seq)
        assert here.sent() == [seq]
        here.clock.advance(0.1)

    here.put(500)
    assert here.sent() == []
    here.confirm(0, 9)
    assert here.sent() == [500], "before ten more of the backlog"
    assert here.sent() == []


def test_what_is_new_is_not_repeated_with_the_backlog(world: MakeWorld) -> None:
    """A new reading that is on its way stays out of the batches until it is overdue."""
    here = world(50)
    here.put(900)

    assert here.sent() == [900]
    assert here.sent() == list(range(50))
    assert here.sent() == []


def test_rows_that_the_server_takes_later_make_room_and_come_again(world: MakeWorld) -> None:
    """The backlog behind them goes meanwhile; they are sent again after ever longer pauses until they are confirmed."""
    here = world(1_000)
    for first in range(0, 700, 100):
        assert here.sent() == list(range(first, first + 100))
        here.send_window.postpone(OLD_BOOT, first, first + 99)
    while sent := here.sent():
        assert sent[0] >= 700
        here.confirm(sent[0], sent[-1])
    here.clock.advance(FIRST_RETRY_S + 1)
    assert here.sent() == []
    here.clock.advance(FIRST_RETRY_S + 1)
    assert here.sent() == list(range(100))
    here.confirm(0, 99)
    here.send_window.resend_all()
    assert here.sent() == list(range(100, 200)), "another connection, or a server that is back, may take them"


class Busy(World):
    """A world in which what is on the way and what has arrived is written down."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 300)
        self.on_the_way: set[tuple[str, int]] = set()
        self.arrived: set[tuple[str, int]] = set()
        self.heard = 0

    def hear(self, _count: int) -> None:
        """Put something new."""
        self.put(self.heard)
        self.heard += 1

    def send(self, _count: int) -> bool:
        """Send one message, and return whether there was one."""
        rows = [(row.boot, row.seq) for row in self.send_window.next_batch()]
        of_backlog = [seq for boot, seq in rows if boot == OLD_BOOT]
        assert of_backlog == sorted(of_backlog)
        self.on_the_way.update(rows)
        assert len(self.on_the_way) <= MAX_UNCONFIRMED
        return bool(rows)

    def confirm_some(self, count: int) -> None:
        """Confirm some of what is on the way."""
        for boot, seq in sorted(self.on_the_way)[:count]:
            self.confirm(seq, seq, boot)
            self.on_the_way.remove((boot, seq))
            self.arrived.add((boot, seq))

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    def begin_anew(self, _count: int) -> None:
        """Lose the connection and make a new one."""
        self.send_window.resend_all()
        self.on_the_way.clear()


STEPS = st.tuples(st.sampled_from(["hear", "send", "confirm_some", "wait", "begin_anew"]), st.integers(1, 120))


@settings(max_examples=30, deadline=None)
@given(st.lists(STEPS))
def test_everything_arrives_and_the_bound_holds(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Whatever happens in which order: not too much is on its way, a backlog keeps its order, and all arrives."""
    here = Busy(tmp_path_factory.mktemp("send_window"))
    for name, count in steps:
        getattr(here, name)(count)
    while here.outbox.waiting()[0]:
        while here.send(0):
            pass
        here.confirm_some(MAX_UNCONFIRMED)
        here.wait(2 * round(LONGEST_RETRY_S))
    OPEN.pop().close()

    assert len(here.arrived) == 300 + here.heard


def test_an_unconfirmed_row_goes_again_after_growing_pauses(world: MakeWorld) -> None:
    """Ten seconds on average at first, doubling to five minutes on average."""
    here = world(1)
    here.sent()
    pauses = []
    for _ in range(10):
        before_ms = here.clock.monotonic_ms()
        while not here.sent():
            here.clock.advance(0.5)
        pauses.append((here.clock.monotonic_ms() - before_ms) / 1000)

    assert LEAST_RETRY * FIRST_RETRY_S <= pauses[0] <= FIRST_RETRY_S + 0.5
    assert pauses[1] > pauses[0]
    assert max(pauses) <= LONGEST_RETRY_S + 0.5
    assert min(pauses[-3:]) >= LEAST_RETRY * LONGEST_RETRY_S


def test_after_a_new_connection_everything_unconfirmed_goes_again(world: MakeWorld) -> None:
    """What was on its way over a lost connection may never have arrived."""
    here = world(3)
    here.sent()

    here.send_window.resend_all()

    assert here.sent() == [0, 1, 2]


def test_a_message_that_the_broker_confirms_is_forgotten_with_all_its_rows(world: MakeWorld) -> None:
    """Without a server the confirmation of a message settles what went with it, of whatever boots."""
    here = world(3)
    put(here.outbox, 7, 0, "0" * 16, payload=b"{}")
    here.clock.advance(RECENT_MS / 1000 + 1)
    rows = here.send_window.next_batch()
    assert [row.seq for row in rows] == [0, 1, 2, 7]

    here.send_window.published(1, Message("topic", rows))
    message = here.send_window.acknowledged(1)
    assert message
    for boot, ranges in message.ranges().items():
        for first, last in ranges:
            here.confirm(first, last, boot)

    assert here.send_window.acknowledged(1) is None
    assert here.outbox.waiting()[0] == 0
    here.send_window.resend_all()
    assert here.sent() == []


def test_kinds_are_not_mixed_in_one_message(world: MakeWorld) -> None:
    """Readings and heard records have topics of their own, in a backlog and when they are new."""
    here = world(2)
    put(here.outbox, 2, 0, OLD_BOOT, payload=b"{}", kind="heard")
    put(here.outbox, 3, 0, OLD_BOOT, payload=b"{}")
    assert [here.sent(), here.sent(), here.sent(), here.sent()] == [[2], [3], [0, 1], []]

    here.send_window.resend_all()
    here.clock.advance(RECENT_MS / 1000 + 1)
    assert [here.sent(), here.sent(), here.sent(), here.sent()] == [[0, 1], [2], [3], []]


def test_a_message_stays_below_the_wire_limit(world: MakeWorld) -> None:
    """Large records travel in smaller batches."""
    here = world(10, payload=b"x" * 30_000)

    assert here.sent() == [0, 1]


def test_nothing_is_sent_while_the_broker_leaves_too_many_messages_unacknowledged(world: MakeWorld) -> None:
    """Messages of every kind count, and each acknowledgement makes room."""
    here = world(1)
    for packet_id in range(MAX_UNACKNOWLEDGED):
        here.send_window.published(packet_id, Message("topic", ()))
    assert here.sent() == []

    here.send_window.acknowledged(0)

    assert here.sent() == [0]
