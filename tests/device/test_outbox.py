"""The outbox: nothing leaves unconfirmed, nothing is kept beyond its bounds."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from brokers import DEVICE
from hypothesis import given, settings
from hypothesis import strategies as st
from outboxes import open_outbox

from device.outbox import Outbox, OutboxError

BOOT = "0123456789abcdef"


def put(outbox: Outbox, seq: int, at_ms: int | None = None) -> None:
    """Put a recognisable row."""
    outbox.put("reading", BOOT, seq, time.time_ns() // 1_000_000 if at_ms is None else at_ms, f"row {seq}".encode())


def numbers(outbox: Outbox) -> list[int]:
    """Return the sequence numbers that wait, oldest first."""
    return [row.seq for row in outbox.oldest(10_000)]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10)), max_size=10))
def test_exactly_the_confirmed_rows_leave(confirmed: list[tuple[int, int]]) -> None:
    """After any confirmations, in any order, what waits is what was not named."""
    with closing(Outbox(Path(":memory:"), DEVICE, max_rows=1_000, max_age_s=3_600)) as outbox:
        for seq in range(40):
            put(outbox, seq)

        ranges = [(first, first + length) for first, length in confirmed]
        outbox.settle(BOOT, ranges)

        named = {seq for first, last in ranges for seq in range(first, last + 1)}
        assert numbers(outbox) == [seq for seq in range(40) if seq not in named]
        assert outbox.waiting()[0] == len(numbers(outbox))


def test_another_boot_is_not_touched(tmp_path: Path) -> None:
    """The same numbers of another boot are other records."""
    outbox = open_outbox(tmp_path)
    put(outbox, 1)

    outbox.settle("f" * 16, [(0, 10)])

    assert numbers(outbox) == [1]


def test_rows_outlive_the_process(tmp_path: Path) -> None:
    """What was put before a kill -9 waits at the next start."""
    program = (
        "import sys, time; from pathlib import Path; from device.outbox import Outbox\n"
        f"outbox = Outbox(Path(sys.argv[1]), {DEVICE!r}, max_rows=1000, max_age_s=3600)\n"
        f"[outbox.put('reading', {BOOT!r}, seq, time.time_ns() // 10**6, b'row') for seq in range(50)]\n"
        "print('done', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "outbox.sqlite")], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)

    assert numbers(open_outbox(tmp_path)) == list(range(50))


def test_the_oldest_go_when_there_are_too_many_and_are_counted(tmp_path: Path) -> None:
    """Beyond its bound the outbox keeps the newest."""
    outbox = open_outbox(tmp_path, max_rows=10)
    for seq in range(25):
        put(outbox, seq)

    assert numbers(outbox) == list(range(15, 25))
    assert outbox.dropped == 15


def test_few_old_rows_stay_however_many_came_and_went(tmp_path: Path) -> None:
    """The bound counts rows that wait, not rows that ever were."""
    outbox = open_outbox(tmp_path, max_rows=10)
    put(outbox, 0)
    for seq in range(1, 100):
        put(outbox, seq)
        outbox.settle(BOOT, [(seq, seq)])

    assert numbers(outbox) == [0]
    assert outbox.dropped == 0


def test_too_old_rows_go_and_are_counted(tmp_path: Path) -> None:
    """Rows older than the bound are of no use to anyone."""
    outbox = open_outbox(tmp_path, max_age_s=60)
    put(outbox, 0, at_ms=time.time_ns() // 1_000_000 - 61_000)
    put(outbox, 1)

    outbox.drop_old()

    assert numbers(outbox) == [1]
    assert outbox.dropped == 1


def test_refused_rows_are_set_aside(tmp_path: Path) -> None:
    """What the server will never take is not sent again, but kept for people to look at."""
    outbox = open_outbox(tmp_path)
    put(outbox, 0)
    put(outbox, 1)

    outbox.refuse(BOOT, 0, 0, "from next week")

    assert numbers(outbox) == [1]
    assert outbox._db.execute("SELECT seq, why FROM refused").fetchall() == [(0, "from next week")]


def test_a_new_generation_erases_what_waits_and_outlives_the_process(tmp_path: Path) -> None:
    """After someone deleted the device's data, older rows go, and the next start knows."""
    outbox = open_outbox(tmp_path)
    put(outbox, 0)

    assert outbox.raise_generation(3) == 1
    assert outbox.raise_generation(2) == 0
    put(outbox, 1)
    outbox.close()

    reopened = open_outbox(tmp_path)
    assert reopened.generation == 3
    assert numbers(reopened) == [1]


def test_a_full_disk_changes_nothing_and_is_over_when_there_is_room(tmp_path: Path) -> None:
    """A write that fails leaves no half-done transaction: what waited still waits, and the next write works."""
    outbox = open_outbox(tmp_path)
    for seq in range(20):
        put(outbox, seq)
    (pages,) = outbox._db.execute("PRAGMA page_count").fetchone()
    outbox._db.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(sqlite3.OperationalError, match="full"):
        outbox.refuse(BOOT, 0, 19, "x" * 100_000)

    assert numbers(outbox) == list(range(20))
    assert outbox.waiting()[0] == 20
    outbox._db.execute("PRAGMA max_page_count = 1000000")
    outbox.settle(BOOT, [(0, 18)])
    put(outbox, 20)
    assert numbers(outbox) == [19, 20]
    assert outbox.waiting()[0] == 2


def test_the_outbox_of_another_device_is_not_used(tmp_path: Path) -> None:
    """A cloned or swapped card is noticed."""
    open_outbox(tmp_path).close()

    with pytest.raises(OutboxError, match="belongs to device aabbccddeeff, this is device 112233445566"):
        open_outbox(tmp_path, device="112233445566")


def test_two_processes_do_not_share_an_outbox(tmp_path: Path) -> None:
    """The second one is told that the first has it."""
    first = open_outbox(tmp_path)
    put(first, 0)

    with pytest.raises(OutboxError, match="is in use"):
        open_outbox(tmp_path)


def test_a_file_that_is_no_outbox_is_refused_by_name(tmp_path: Path) -> None:
    """A damaged file is named, and left as it is."""
    (tmp_path / "outbox.sqlite").write_bytes(b"not a database, but long enough to look at" * 100)

    with pytest.raises(OutboxError, match=r"outbox\.sqlite"):
        open_outbox(tmp_path)
