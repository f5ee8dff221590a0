"""Whose an outbox is, who has it open, and who may look."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from brokers import DEVICE
from outboxes import BOOT, OPEN, numbers, open_outbox, put

from device.delivery.outbox import Outbox, OutboxError
from device.delivery.outbox_file import kept_aside, peek, set_aside


def test_a_cloned_card_is_noticed_and_its_records_are_kept_unsent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In another machine the same file is set aside, even when the device id was cloned with it."""
    outbox = open_outbox(tmp_path)
    put(outbox, 0)
    put(outbox, 1)
    outbox.close()

    clone = open_outbox(tmp_path, machine=frozenset({"serial:20000000ffffffff"}))

    assert numbers(clone) == []
    assert "was filled on another machine (a cloned or swapped card?); its 2 records are kept in" in caplog.text
    (aside,) = kept_aside(tmp_path / "outbox.sqlite")
    assert peek(aside).rows == 2
    put(clone, 5)
    clone.close()
    assert numbers(open_outbox(tmp_path, machine=frozenset({"serial:20000000ffffffff"}))) == [5]


def test_another_identity_on_the_same_machine_begins_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Records of the old identity are kept, and the log says how to send them; they can be had back."""
    outbox = open_outbox(tmp_path)
    put(outbox, 0)
    outbox.close()

    other = open_outbox(tmp_path, device="112233445566")
    assert numbers(other) == []
    assert (
        "and this is now device 112233445566; its 1 records are kept in outbox-foreign-1.sqlite and not sent"
        in caplog.text
    )
    other.close()

    (aside,) = kept_aside(tmp_path / "outbox.sqlite")
    aside.replace(tmp_path / "outbox.sqlite")
    assert numbers(open_outbox(tmp_path)) == [0]


def test_what_becomes_known_of_the_machine_is_noted_down(tmp_path: Path) -> None:
    """A file made where only the network adapter could be read is this machine's, and knows its serial number later."""
    outbox = open_outbox(tmp_path, machine=frozenset({"mac:b827eb000001"}))
    put(outbox, 0)
    outbox.close()
    assert numbers(open_outbox(tmp_path)) == [0]
    outbox = open_outbox_after_closing(tmp_path, frozenset({"serial:10000000a1b2c3d4", "mac:ffffffffffff"}))
    assert numbers(outbox) == [0]
    assert numbers(open_outbox_after_closing(tmp_path, frozenset({"serial:1", "mac:b827eb000001"}))) == []


def open_outbox_after_closing(folder: Path, machine: frozenset[str]) -> Outbox:
    """Close what is open and open it on a machine."""
    OPEN.pop().close()
    return open_outbox(folder, machine=machine)


def test_two_processes_do_not_share_an_outbox(tmp_path: Path) -> None:
    """The second one is told that the first has it."""
    first = open_outbox(tmp_path)
    put(first, 0)

    with pytest.raises(OutboxError, match="is in use"):
        open_outbox(tmp_path)

    first.close()
    assert numbers(open_outbox(tmp_path)) == [0]


def test_an_outbox_of_another_version_is_refused(tmp_path: Path) -> None:
    """It is left as it is, and the sentence says what to do."""
    with sqlite3.connect(tmp_path / "outbox.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(OutboxError, match=r"outbox\.sqlite has schema 99, this moodwire knows \d+; move it away"):
        open_outbox(tmp_path)
    with pytest.raises(OutboxError, match="has schema 99"):
        peek(tmp_path / "outbox.sqlite")


def test_another_process_may_look_while_the_device_runs(tmp_path: Path) -> None:
    """Whoever looks sees what waits and what was refused, and disturbs nothing."""
    with pytest.raises(OutboxError, match="there is no outbox"):
        peek(tmp_path / "outbox.sqlite")
    outbox = open_outbox(tmp_path)
    for seq in range(5):
        put(outbox, seq)
    outbox.refuse(BOOT, 4, 4, "why")
    put(outbox, 5)

    look = (
        "import sys; from pathlib import Path; from device.delivery.outbox_file import peek;"
        "facts = peek(Path(sys.argv[1]));"
        "print(facts.device, facts.rows, [(one.boot, one.seq, one.why) for one in facts.refused])"
    )
    argv = [sys.executable, "-c", look, str(tmp_path / "outbox.sqlite")]
    seen = subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    assert seen == f"{DEVICE} 5 [('{BOOT}', 4, 'why')]\n"
    put(outbox, 6)
    assert numbers(outbox) == [0, 1, 2, 3, 5, 6]
    outbox.close()
    assert peek(tmp_path / "outbox.sqlite").rows == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outbox.sqlite"]


def test_a_file_is_set_aside_with_its_log(tmp_path: Path) -> None:
    """A log that SQLite could not write back belongs to the old file, and must not meet the new one."""
    for name in ("outbox.sqlite", "outbox.sqlite-wal", "outbox.sqlite-shm"):
        (tmp_path / name).write_text(name)

    kept = set_aside(tmp_path / "outbox.sqlite", "damaged")

    assert kept.read_text() == "outbox.sqlite"
    assert (tmp_path / f"{kept.name}-wal").read_text() == "outbox.sqlite-wal"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_file_that_someone_renamed_is_left_alone(tmp_path: Path) -> None:
    """Only names with a number are counted, and only those files are deleted when there are too many."""
    mine = tmp_path / "outbox-damaged-mine.sqlite"
    mine.touch()
    for _ in range(4):
        (tmp_path / "outbox.sqlite").touch()
        set_aside(tmp_path / "outbox.sqlite", "damaged")

    assert [path.name for path in kept_aside(tmp_path / "outbox.sqlite")] == [
        *(f"outbox-damaged-{number}.sqlite" for number in (2, 3, 4)),
        mine.name,
    ]
