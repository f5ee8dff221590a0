"""The outbox tells what it had to drop, and the device tells the server, over restarts and full disks."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from outboxes import BOOT, OPEN, Blocked, TestClock, open_outbox, put

from broker.messages import MOST_DROPPED_SPANS, DroppedSpan
from device.delivery import dropped

LIMIT = 10


def test_dropped_records_are_told_with_their_numbers_and_times(tmp_path: Path) -> None:
    """One span for each boot, kept over a restart, until an erasure."""
    outbox = open_outbox(tmp_path, max_rows=LIMIT)
    for seq in range(25):
        put(outbox, seq, 1_760_000_000_000 + 1000 * seq)
    spans = (DroppedSpan(boot=BOOT, first=0, last=14, start=1_760_000_000_000, end=1_760_000_014_000, records=15),)
    assert outbox.dropped_spans == spans
    put(outbox, 25, 1_760_000_025_000)  # keeps on the disk what the last one dropped
    outbox.close()

    again = open_outbox(tmp_path, max_rows=LIMIT)
    assert [span.records for span in again.dropped_spans] == [16]
    again.raise_generation(1)
    assert again.dropped_spans == ()


def test_what_is_too_old_is_told_as_well(tmp_path: Path) -> None:
    """The age is a limit of the outbox too."""
    clock = TestClock()
    outbox = open_outbox(tmp_path, max_age_s=60, clock=clock)
    for seq in range(3):
        put(outbox, seq, clock.now_ms())
    clock.advance(61)
    outbox.drop_old()
    assert [(span.first, span.last, span.records) for span in outbox.dropped_spans] == [(0, 2, 3)]


def test_the_oldest_spans_are_forgotten_when_there_are_too_many() -> None:
    """A message has room for few, and what lies between two numbers that are near is not told apart."""

    def span(number: int, first: int) -> DroppedSpan:
        return DroppedSpan(boot=f"{number:016x}", first=first, last=first, start=first, end=first, records=1)

    spans = dropped.add((), (span(number, 0) for number in range(MOST_DROPPED_SPANS + 5)))
    assert [int(one.boot, 16) for one in spans] == list(range(5, MOST_DROPPED_SPANS + 5))
    near = dropped.add((), [span(0, first) for first in (0, 1, 50, 500)])
    assert [(one.first, one.last, one.records) for one in near] == [(0, 50, 3), (500, 500, 1)]
    assert dropped.read(dropped.write(near)) == near
    assert dropped.read("nonsense") == ()


steps = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 15)),
    st.tuples(st.just("confirm"), st.integers(0, 3)),
    st.tuples(st.sampled_from(["restart", "block", "unblock"]), st.just(0)),
)


@settings(max_examples=60)
@given(st.lists(steps, max_size=15))
def test_no_dropped_record_is_untold(does: list[tuple[str, int]]) -> None:
    """Whatever happens to disk and process, the spans count each record that is neither confirmed nor waiting."""
    with TemporaryDirectory() as folder:
        clock = TestClock()
        outbox, blocked = open_outbox(Path(folder), max_rows=LIMIT, clock=clock), None
        boot, seq, made, gone, confirmed = 0, 0, 0, 0, 0
        for what, count in does:
            if what == "put":
                for _ in range(count):
                    put(outbox, seq, clock.now_ms() + made, boot=f"{boot:016x}")
                    seq, made = seq + 1, made + 1
            elif what == "confirm":
                for row in outbox.oldest(count):
                    outbox.confirm(row.boot, [(row.seq, row.seq)])
                    confirmed += 1
            elif what == "restart" and blocked is None:
                outbox.close()
                outbox = open_outbox(Path(folder), max_rows=LIMIT, clock=clock)
                boot, seq = boot + 1, 0
            elif what == "block" and blocked is None:
                blocked = Blocked(outbox, clock)
            elif what == "unblock" and blocked:
                blocked.end()
                blocked = None
            gone = made - confirmed - outbox.waiting()[0]
            spans = outbox.dropped_spans
            assert sum(span.records for span in spans) == gone
            assert all(span.records <= span.last - span.first + 1 for span in spans)
        if blocked:
            blocked.end()
        OPEN.pop().close()
