"""The outbox: nothing leaves unconfirmed, nothing is kept beyond its bounds, nothing erased stays."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from outboxes import BOOT, OPEN, Blocked, TestClock, numbers, open_outbox, put, reopened

OTHER_BOOT = "f" * 16
SUPPORT = Path(__file__).parents[2] / "support"


class World:
    """An outbox, and plain lists of what must be in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = TestClock()
        self.outbox = open_outbox(folder, clock=self.clock)
        self.boots = [f"{0:016x}"]
        self.next_seq = 0
        self.waiting: list[tuple[str, int]] = []
        self.refused: list[tuple[str, int, str]] = []
        self.generation = 0
        self.blocked: Blocked | None = None

    def put(self, count: int) -> None:
        """Put some records."""
        for _ in range(count):
            put(self.outbox, self.next_seq, boot=self.boots[-1])
            self.waiting.append((self.boots[-1], self.next_seq))
            self.next_seq += 1

    def settle(self, first: int, last: int, back: int) -> None:
        """Confirm a range of this or an earlier boot."""
        boot, named = self._named(first, last, back)
        self.outbox.confirm(boot, [(first, last)])
        self.waiting = [row for row in self.waiting if row not in named]

    def refuse(self, first: int, last: int, back: int) -> None:
        """Refuse a range of this or an earlier boot."""
        boot, named = self._named(first, last, back)
        self.outbox.refuse(boot, first, last, "why")
        self.refused += [(*row, "why") for row in named]
        self.waiting = [row for row in self.waiting if row not in named]

    def erase(self) -> None:
        """Begin a new generation."""
        self.generation += 1
        assert self.outbox.raise_generation(self.generation) == len(self.waiting)
        assert self.outbox.raise_generation(self.generation) == 0
        self.waiting, self.refused = [], []

    def fail(self) -> None:
        """Let the disk take nothing."""
        self.blocked = self.blocked or Blocked(self.outbox, self.clock)

    def mend(self) -> None:
        """Let the disk work again."""
        if self.blocked:
            self.blocked.end()
        self.blocked = None

    def reopen(self) -> None:
        """Start a new process."""
        self.mend()
        self.outbox.close()
        self.outbox = open_outbox(self.folder, clock=self.clock)
        self.boots.append(f"{len(self.boots):016x}")
        self.next_seq = 0

    def check(self) -> None:
        """Compare."""
        assert [(row.boot, row.seq) for row in self.outbox.oldest(10_000)] == self.waiting
        assert self.outbox.waiting()[0] == len(self.waiting)
        assert self.outbox.refused() == self.refused
        assert self.outbox.refused_count == len(self.refused)
        assert self.outbox.generation == self.generation

    def _named(self, first: int, last: int, back: int) -> tuple[str, list[tuple[str, int]]]:
        boot = self.boots[max(0, len(self.boots) - 1 - back)]
        return boot, [row for row in self.waiting if row[0] == boot and first <= row[1] <= last]


RANGE = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 3))
STEPS = st.one_of(
    st.tuples(st.just("put"), st.tuples(st.integers(1, 5))),
    st.tuples(st.sampled_from(["settle", "refuse"]), RANGE),
    st.tuples(st.sampled_from(["erase", "fail", "mend", "reopen"]), st.just(())),
)


@settings(max_examples=40, deadline=None)
@example([("put", (1,)), ("refuse", (0, 0, 0)), ("fail", ()), ("erase", ())])  # what was refused is erased, too
@given(st.lists(STEPS, max_size=25))
def test_it_holds_what_was_put_and_not_named_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, tuple[int, ...]]]
) -> None:
    """Puts, confirmations, refusals, erasures, restarts and disks that fail and work again: as plain lists would."""
    world = World(tmp_path_factory.mktemp("outbox"))
    for name, values in steps:
        getattr(world, name)(*values)
        world.check()
    world.mend()
    world.outbox.close()
    OPEN.clear()


def test_another_boot_is_not_touched(tmp_path: Path) -> None:
    """The same numbers of another boot are other records."""
    outbox = open_outbox(tmp_path)
    put(outbox, 1)
    put(outbox, 1, boot=OTHER_BOOT)

    outbox.confirm(OTHER_BOOT, [(0, 10)])
    outbox.confirm("e" * 16, [(0, 10)])

    assert [(row.boot, row.seq) for row in outbox.oldest(10)] == [(BOOT, 1)]


CHILD = f"""
import sys; from pathlib import Path
sys.path.insert(0, {str(SUPPORT)!r})
from outboxes import open_outbox, put
outbox = open_outbox(Path(sys.argv[1]), max_rows=100_000)
seq = 0
while True:
    put(outbox, seq, 1_760_000_000_000, sys.argv[2], payload=b"row")
    print(seq, flush=True)
    seq += 1
"""


@pytest.mark.slow
def test_what_was_put_outlives_kill_9_again_and_again(tmp_path: Path) -> None:
    """However often the process is killed in the middle of its work, all that it had put waits at the next start."""
    said: dict[str, int] = {}
    for start in range(8):
        boot = f"{start:016x}"
        argv = [sys.executable, "-c", CHILD, str(tmp_path), boot]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(20 + 7 * start)]
            os.kill(child.pid, signal.SIGKILL)
            said[boot] = int([*lines, *child.stdout.read().splitlines()][-1])

    found: dict[str, list[int]] = {}
    for row in open_outbox(tmp_path, max_rows=100_000).oldest(100_000):
        found.setdefault(row.boot, []).append(row.seq)
    assert list(found) == list(said)
    for boot, last in said.items():
        assert found[boot] in (list(range(last + 1)), list(range(last + 2))), "it may be killed before it says so"


def test_the_oldest_go_when_there_are_too_many_and_are_counted(tmp_path: Path) -> None:
    """Beyond its bound the outbox keeps the newest."""
    outbox = open_outbox(tmp_path, max_rows=10)
    for seq in range(25):
        put(outbox, seq)

    assert numbers(outbox) == list(range(15, 25))
    assert outbox.dropped == 15


def test_the_oldest_go_when_they_are_too_large_and_are_counted(tmp_path: Path) -> None:
    """Payloads are bounded in bytes, over restarts."""
    outbox = open_outbox(tmp_path, max_bytes=1_000)
    for seq in range(10):
        put(outbox, seq, 0, payload=b"x" * 200)
    assert numbers(outbox) == [5, 6, 7, 8, 9]
    assert outbox.dropped == 5
    outbox.close()

    again = open_outbox(tmp_path, max_bytes=1_000)
    put(again, 0, 0, OTHER_BOOT, payload=b"x" * 600)
    assert numbers(again) == [8, 9, 0]
    assert again.dropped == 3


def test_few_old_rows_stay_however_many_came_and_went(tmp_path: Path) -> None:
    """The bound counts rows that wait, not rows that ever were."""
    outbox = open_outbox(tmp_path, max_rows=10)
    put(outbox, 0)
    for seq in range(1, 100):
        put(outbox, seq)
        outbox.confirm(BOOT, [(seq, seq)])

    assert numbers(outbox) == [0]
    assert outbox.dropped == 0


def test_too_old_rows_go_and_are_counted(tmp_path: Path) -> None:
    """Rows older than the bound are of no use to anyone."""
    clock = TestClock()
    outbox = open_outbox(tmp_path, max_age_s=60, clock=clock)
    put(outbox, 0, clock.now_ms() - 61_000)
    put(outbox, 1, clock.now_ms())

    outbox.drop_old()

    assert numbers(outbox) == [1]
    assert outbox.dropped == 1


@pytest.mark.parametrize("year", [1970, 2040])
def test_a_clock_that_nobody_has_set_makes_nothing_old(tmp_path: Path, year: int) -> None:
    """A machine that wakes in 1970 or jumps to 2040 is not synchronised, and drops nothing."""
    clock = TestClock()
    outbox = open_outbox(tmp_path, clock=clock)
    put(outbox, 0, clock.now_ms())
    clock.unix_ms, clock.right = (year - 1970) * 31_557_600_000, False
    put(outbox, 1, clock.now_ms(), synced=False)

    outbox.drop_old()

    assert numbers(outbox) == [0, 1]


@pytest.mark.parametrize("wrong_ms", [0, 2_200_000_000_000])
def test_a_date_that_is_not_to_be_believed_makes_nothing_old(tmp_path: Path, wrong_ms: int) -> None:
    """A record that an unset clock dated goes with its neighbours: with what was made after it, not by its own date."""
    clock = TestClock()
    outbox = open_outbox(tmp_path, clock=clock)
    old_ms = clock.now_ms() - 3_500_000
    put(outbox, 0, old_ms)
    put(outbox, 1, wrong_ms, synced=False)
    put(outbox, 2, old_ms + 2_000)
    put(outbox, 3, wrong_ms, synced=False)
    outbox.drop_old()
    assert numbers(outbox) == [0, 1, 2, 3]

    clock.advance(101)
    outbox.drop_old()
    assert numbers(outbox) == [1, 2, 3]
    clock.advance(2)
    outbox.drop_old()
    assert numbers(outbox) == [3]


def test_a_new_generation_erases_everything_for_good(tmp_path: Path) -> None:
    """After someone deleted the device's data nothing of it is in any file, and the next start knows the generation."""
    outbox = open_outbox(tmp_path)
    for seq in range(100):
        put(outbox, seq, 0, payload=b"SECRET %d " % seq * 20)
    outbox.confirm(BOOT, [(0, 30)])
    outbox.refuse(BOOT, 40, 60, "SECRET reason")
    assert b"SECRET" in everything(tmp_path)

    assert outbox.raise_generation(3) == 48
    assert outbox.raise_generation(2) == 0
    assert b"SECRET" not in everything(tmp_path)
    put(outbox, 100)

    again = reopened(outbox, tmp_path)
    assert again.generation == 3
    assert numbers(again) == [100]
    assert again.refused() == []


def test_what_somebody_reads_while_it_is_erased_goes_later(tmp_path: Path) -> None:
    """A doctor that looks at the log keeps it from being emptied; that happens a minute later, or at the next start."""
    outbox = open_outbox(tmp_path)
    for seq in range(50):
        put(outbox, seq, 0, payload=b"SECRET %d " % seq * 20)
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM rows").fetchone() == (50,)
        outbox.raise_generation(1)
        assert b"SECRET" in everything(tmp_path)
    for name in ("outbox.sqlite", "outbox.sqlite-wal"):
        (tmp_path / "killed").mkdir(exist_ok=True)
        shutil.copy(tmp_path / name, tmp_path / "killed" / name)

    outbox.drop_old()
    assert b"SECRET" not in everything(tmp_path)
    open_outbox(tmp_path / "killed")
    assert b"SECRET" not in everything(tmp_path / "killed")


def test_an_erasure_takes_what_was_set_aside(tmp_path: Path) -> None:
    """Damaged and foreign files, their logs, and a file whose rows have yet to be taken over are deleted too."""
    for why in ("damaged-1", "foreign-1", "salvage-7", "damaged-mine"):
        for end in ("", "-wal", "-shm", "-journal"):
            (tmp_path / f"outbox-{why}.sqlite{end}").write_bytes(b"SECRET")
    outbox = open_outbox(tmp_path)
    put(outbox, 0)

    outbox.raise_generation(1)

    assert b"SECRET" not in everything(tmp_path)


def everything(folder: Path) -> bytes:
    """Return all that is in the files of a folder."""
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
