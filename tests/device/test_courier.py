"""What is sent when: bounded, oldest first, again after a growing pause."""

from outboxes import open_outbox

from device.courier import FIRST_RETRY_S, LONGEST_RETRY_S, MAX_UNCONFIRMED, Courier

BOOT = "0123456789abcdef"


class World:
    """An outbox, a courier and a clock that moves when told."""

    def __init__(self, rows: int, payload: bytes = b"{}") -> None:
        self.now_s = 0.0
        self.outbox = open_outbox(None, max_rows=10_000, max_age_s=1e9)
        self.courier = Courier(self.outbox, lambda: self.now_s)
        for seq in range(rows):
            self.outbox.put("reading", BOOT, seq, 0, payload)

    def sent(self) -> list[int]:
        """Return the numbers of the next batch."""
        return [row.seq for row in self.courier.next_batch()]

    def confirm(self, first: int, last: int) -> None:
        """Let the server confirm a range."""
        self.outbox.settle(BOOT, [(first, last)])
        self.courier.settled(BOOT, [(first, last)])


def test_a_single_row_goes_alone_and_only_once() -> None:
    """A row that is on its way is not sent again at once."""
    world = World(1)

    assert world.sent() == [0]
    assert world.sent() == []


def test_a_backlog_goes_in_batches_oldest_first_up_to_the_bound() -> None:
    """At most a bounded number is unconfirmed; what is confirmed makes room."""
    world = World(1_000)

    assert world.sent() == list(range(100))
    assert world.sent() == list(range(100, MAX_UNCONFIRMED))
    assert world.sent() == []
    world.confirm(0, 49)
    assert world.sent() == list(range(MAX_UNCONFIRMED, MAX_UNCONFIRMED + 50))


def test_an_unconfirmed_row_goes_again_after_growing_pauses() -> None:
    """Ten seconds at first, doubling, never more than five minutes."""
    world = World(1)
    world.sent()
    pauses = []
    for _ in range(10):
        before_s = world.now_s
        while not world.sent():
            world.now_s += 0.5
        pauses.append(world.now_s - before_s)

    assert 0.75 * FIRST_RETRY_S <= pauses[0] <= 1.25 * FIRST_RETRY_S + 0.5
    assert pauses[1] > pauses[0]
    assert max(pauses) <= 1.25 * LONGEST_RETRY_S + 0.5
    assert min(pauses[-3:]) >= 0.75 * LONGEST_RETRY_S


def test_after_a_new_connection_everything_unconfirmed_goes_again() -> None:
    """What was on its way over a lost connection may never have arrived."""
    world = World(3)
    world.sent()

    world.courier.start_over()

    assert world.sent() == [0, 1, 2]


def test_kinds_are_not_mixed_in_one_message() -> None:
    """Readings and heard records have topics of their own."""
    world = World(2)
    world.outbox.put("heard", BOOT, 2, 0, b"{}")
    world.outbox.put("reading", BOOT, 3, 0, b"{}")

    assert [world.sent(), world.sent(), world.sent()] == [[0, 1], [2], [3]]


def test_a_message_stays_below_the_wire_limit() -> None:
    """Large records travel in smaller batches."""
    world = World(10, payload=b"x" * 30_000)

    assert world.sent() == [0, 1]
