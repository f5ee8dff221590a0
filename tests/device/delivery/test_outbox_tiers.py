"""File and memory: neither a full, a read-only nor a broken disk stops the device or loses a record."""

import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from outboxes import BOOT, Blocked, TestClock, numbers, open_outbox, put, reopened

from device.delivery.outbox_file import kept_aside
from device.delivery.outbox_table import OutboxTable
from device.delivery.outbox_tiers import RETRY_MS, Limits

SUPPORT = Path(__file__).parents[2] / "support"


def test_a_full_disk_is_said_once_and_does_not_stop_the_outbox(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the disk does not take waits in memory, is sent and confirmed there, and moves to the disk later."""
    caplog.set_level(logging.INFO)
    clock = TestClock()
    outbox = open_outbox(tmp_path, clock=clock)
    for seq in range(20):
        put(outbox, seq)
    (pages,) = outbox._table._file.db.execute("PRAGMA page_count").fetchone()  # type: ignore[union-attr]
    outbox._table._file.db.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[union-attr]

    for seq in range(20, 80):
        put(outbox, seq, clock.now_ms(), payload=b"x" * 500)
    assert outbox.state == "full"
    assert numbers(outbox) == list(range(80))
    assert [row.seq for row in outbox.recent()] == list(range(60, 80))
    outbox.confirm(BOOT, [(0, 9), (70, 74)])
    outbox.refuse(BOOT, 75, 75, "why")
    left = [*range(10, 70), *range(76, 80)]
    assert numbers(outbox) == left
    assert outbox.waiting()[0] == len(left)
    assert outbox.refused() == [(BOOT, 75, "why")]

    outbox._table._file.db.execute("PRAGMA max_page_count = 1000000")  # type: ignore[union-attr]
    put(outbox, 80)
    assert outbox.state == "full", "the disk is left alone for a minute"
    clock.advance(RETRY_MS / 1000)
    assert numbers(outbox) == [*left, 80]
    assert outbox.state == "ok"
    assert [record.message.partition("outbox.sqlite ")[2] for record in caplog.records] == [
        "cannot be written (database or disk is full); up to 10000 records wait in memory, trying again each minute",
        "can be written again; 55 records moved there from memory",
    ]
    again = reopened(outbox, tmp_path)
    assert numbers(again) == [*left, 80]
    assert again.refused() == [(BOOT, 75, "why")]


def test_somebody_who_holds_the_file_open_for_writing_costs_one_second_and_no_record(tmp_path: Path) -> None:
    """A lock of another program is waited for once; then records wait in memory, and move to the disk later."""
    clock = TestClock()
    outbox = open_outbox(tmp_path, clock=clock)
    put(outbox, 0)
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for seq in range(1, 5):
            put(outbox, seq)
        assert outbox.state == "full"
        other.execute("ROLLBACK")

    clock.advance(RETRY_MS / 1000)

    assert numbers(outbox) == [0, 1, 2, 3, 4]
    assert outbox.state == "ok"


def test_an_erasure_on_a_full_disk_is_carried_out_when_it_works_again(tmp_path: Path) -> None:
    """Nothing erased is sent meanwhile, and nothing that was put since then is lost."""
    clock = TestClock()
    outbox = open_outbox(tmp_path, clock=clock)
    put(outbox, 0)
    blocked = Blocked(outbox, clock)
    put(outbox, 1)

    assert outbox.raise_generation(4) == 2
    put(outbox, 2)
    assert numbers(outbox) == [2]

    blocked.end()
    assert numbers(outbox) == [2]
    again = reopened(outbox, tmp_path)
    assert again.generation == 4
    assert numbers(again) == [2]


@pytest.mark.parametrize("limits", [Limits(5, 1_000, 0), Limits(1_000, 26, 0)], ids=["records", "bytes"])
def test_memory_is_bounded_while_the_disk_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: Limits
) -> None:
    """The oldest in memory go, counted; what is on the disk stays."""
    monkeypatch.setattr("device.delivery.outbox_tiers.IN_MEMORY", limits)
    clock = TestClock()
    outbox = open_outbox(tmp_path, clock=clock)
    put(outbox, 0)
    blocked = Blocked(outbox, clock)
    for seq in range(1, 11):
        put(outbox, seq)

    assert numbers(outbox) == [0, 6, 7, 8, 9, 10]
    assert outbox.dropped == 5
    blocked.end()
    assert numbers(outbox) == [0, 6, 7, 8, 9, 10]
    assert outbox.state == "ok"


FULL_DISK = f"""
import os, resource, sys; from pathlib import Path
sys.path.insert(0, {str(SUPPORT)!r})
from outboxes import open_outbox, put, TestClock
clock = TestClock()
outbox = open_outbox(Path(sys.argv[1]), clock=clock)
resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
for seq in range(400):
    put(outbox, seq, clock.now_ms(), payload=b"x" * 300)
assert outbox.state == "full"
assert [row.seq for row in outbox.oldest(1000)] == list(range(400))
outbox.confirm("0123456789abcdef", [(0, 99), (390, 399)])
assert [row.seq for row in outbox.oldest(1000)] == list(range(100, 390))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
clock.advance(61)
assert [row.seq for row in outbox.oldest(1000)] == list(range(100, 390))
assert outbox.state == "ok"
outbox.close()
print("went through")
"""


def test_files_that_must_not_grow_are_a_full_disk(tmp_path: Path) -> None:
    """When the operating system refuses to make a file larger the outbox goes on, and recovers."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=False)

    assert done.stdout == "went through\n", done.stderr
    assert numbers(open_outbox(tmp_path)) == list(range(100, 390))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "moodwire-test", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount the small file system that this test needs")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_small_file_system_fills_and_empties(small_disk: Path) -> None:
    """On a file system that is really full nothing is lost, and all is on it again when there is room."""
    clock = TestClock()
    outbox = open_outbox(small_disk, clock=clock)
    ballast = small_disk / "ballast"
    put(outbox, 0)
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 1024)

    for seq in range(1, 200):
        put(outbox, seq, clock.now_ms(), payload=b"x" * 300)
    assert outbox.state == "full"
    assert numbers(outbox) == list(range(200))
    ballast.unlink()
    clock.advance(61)
    assert numbers(outbox) == list(range(200))
    assert outbox.state == "ok"
    outbox.close()
    assert numbers(open_outbox(small_disk)) == list(range(200))


def test_a_disk_that_cannot_be_written_from_the_start_is_used_when_it_can(small_disk: Path) -> None:
    """Read-only at the start: all in memory, and none of it lost when the disk can be written later."""
    clock = TestClock()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    outbox = open_outbox(small_disk, clock=clock)
    put(outbox, 0)
    assert outbox.state == "full"
    assert numbers(outbox) == [0]

    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    clock.advance(61)
    put(outbox, 1)
    assert outbox.state == "ok"
    outbox.close()
    assert numbers(open_outbox(small_disk)) == [0, 1]


def test_a_place_that_is_no_folder_is_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    """Where no file can be made the outbox works in memory, and says at the end what is lost."""
    (tmp_path / "file").touch()
    outbox = open_outbox(tmp_path / "file")
    put(outbox, 0)

    assert outbox.state == "full"
    assert numbers(outbox) == [0]
    outbox.close()
    assert outbox.dropped == 1


def test_a_read_only_folder_is_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    """Without permission the outbox works in memory, and uses the folder once it may."""
    clock = TestClock()
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("root may write into any folder; the test on a read-only file system takes this one's place")
    outbox = open_outbox(tmp_path, clock=clock)
    put(outbox, 0)
    assert outbox.state == "full"
    assert numbers(outbox) == [0]

    tmp_path.chmod(0o700)
    clock.advance(61)
    assert numbers(outbox) == [0]
    assert outbox.state == "ok"


def test_a_damaged_file_is_set_aside_and_a_new_one_begins(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No traceback, two lines that name the files, and at most three such files on the card."""
    for _ in range(5):
        (tmp_path / "outbox.sqlite").write_bytes(b"not a database, but long enough to look at" * 100)
        caplog.clear()
        outbox = open_outbox(tmp_path)
        put(outbox, 0)

        assert numbers(outbox) == [0]
        assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
        assert "is damaged (file is not a database); a new one begins" in caplog.text
        assert "the file is kept as outbox-damaged-" in caplog.text
        outbox.close()

    names = [path.name for path in kept_aside(tmp_path / "outbox.sqlite")]
    assert names == ["outbox-damaged-3.sqlite", "outbox-damaged-4.sqlite", "outbox-damaged-5.sqlite"]


def test_a_file_that_breaks_while_it_is_used_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When pages turn to garbage under a running device it goes on with a new file, and loses no new record."""
    outbox = open_outbox(tmp_path, max_rows=10_000)
    for seq in range(200):
        put(outbox, seq, 0, payload=b"x" * 300)
    outbox.close()
    path = tmp_path / "outbox.sqlite"
    path.write_bytes(path.read_bytes()[:6_144] + b"\xff" * (path.stat().st_size - 6_144))
    outbox = open_outbox(tmp_path)

    put(outbox, 200)

    assert len(kept_aside(path)) == 1
    assert 200 in numbers(outbox)
    assert outbox.state == "ok"
    assert "Traceback" not in caplog.text
    assert 200 in numbers(reopened(outbox, tmp_path))


def test_a_new_file_knows_the_generation_of_the_damaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a file broke while it was read, a full disk does not erase what waits in the new file."""
    clock = TestClock()
    outbox = open_outbox(tmp_path, clock=clock)
    outbox.raise_generation(3)
    with monkeypatch.context() as broken:
        broken.setattr(OutboxTable, "oldest_at_ms", damaged)
        outbox._table._try_file(OutboxTable.oldest_at_ms)
    put(outbox, 0)
    blocked = Blocked(outbox, clock)
    put(outbox, 1)
    blocked.end()

    assert numbers(outbox) == [0, 1]
    assert outbox.state == "ok"
    again = reopened(outbox, tmp_path)
    assert (again.generation, numbers(again)) == (3, [0, 1])


def test_an_erasure_that_fails_again_is_tried_again_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes new records but not yet the erasure gets none, so that the erasure cannot take them later."""
    clock = TestClock()
    outbox = open_outbox(tmp_path, clock=clock)
    put(outbox, 0)
    blocked = Blocked(outbox, clock)
    assert outbox.raise_generation(4) == 1
    put(outbox, 1)
    blocked.end()
    with monkeypatch.context() as failing:
        failing.setattr(OutboxTable, "erase", busy)
        put(outbox, 2)
    assert outbox.state == "full"
    clock.advance(RETRY_MS / 1000)

    assert numbers(outbox) == [1, 2]
    assert outbox.state == "ok"
    again = reopened(outbox, tmp_path)
    assert (again.generation, numbers(again)) == (4, [1, 2])


def damaged(_table: OutboxTable) -> None:
    """Fail as SQLite does on a page that is garbage."""
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    raise error


def busy(table: OutboxTable, generation: int) -> None:
    """Fail as SQLite does when someone else writes; memory is never busy."""
    if table.db.execute("PRAGMA database_list").fetchone()[2]:
        raise sqlite3.OperationalError("database is locked")
    real_erase(table, generation)


real_erase = OutboxTable.erase
