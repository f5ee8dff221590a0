"""The table: few bytes are written, boots keep their order, and what is kept aside is bounded."""

from pathlib import Path

import pytest
from outboxes import BOOT, numbers, open_outbox, put, reopened

from device.delivery.outbox_table import REFUSED_KEPT


@pytest.mark.parametrize("batch", [1, 50])
def test_a_reading_costs_few_bytes_on_the_card(tmp_path: Path, batch: int) -> None:
    """Put and confirmed, a reading of 250 bytes makes the log grow by 2,500 bytes at most."""
    outbox = open_outbox(tmp_path, max_rows=100_000)
    written = 0

    def log_size() -> int:
        return (tmp_path / "outbox.sqlite-wal").stat().st_size

    put(outbox, 0)
    before = log_size()
    for seq in range(1, 401):
        put(outbox, seq, payload=b"x" * 250)
        if seq % batch == 0:
            outbox.confirm(BOOT, [(seq - batch + 1, seq)])

    written = log_size() - before
    assert 0 < written / 400 <= 2_500


def test_the_oldest_boot_goes_first_whatever_the_names(tmp_path: Path) -> None:
    """Boots have random names; what was put first comes first, over restarts."""
    outbox = open_outbox(tmp_path)
    put(outbox, 7, boot="f" * 16)
    outbox = reopened(outbox, tmp_path)
    put(outbox, 3, boot="0" * 16)
    outbox = reopened(outbox, tmp_path)
    put(outbox, 0, boot="a" * 16)

    assert numbers(outbox) == [7, 3, 0]


def test_boots_with_nothing_left_are_forgotten(tmp_path: Path) -> None:
    """A device that starts every day does not fill its card with the names of its starts."""
    for start in range(5):
        outbox = open_outbox(tmp_path)
        put(outbox, 0, boot=f"{start:016x}")
        if start != 2:
            outbox.confirm(f"{start:016x}", [(0, 0)])
        outbox.close()

    kept = open_outbox(tmp_path)._table._file.db.execute("SELECT name FROM boots").fetchall()  # type: ignore[union-attr]
    assert kept == [(f"{2:016x}",)]


def test_refused_rows_are_set_aside_and_bounded(tmp_path: Path) -> None:
    """What the server will never take is not sent again, but kept for people to look at, over restarts."""
    outbox = open_outbox(tmp_path, max_rows=3_000)
    for seq in range(REFUSED_KEPT + 12):
        put(outbox, seq)

    outbox.refuse(BOOT, 0, REFUSED_KEPT, "from next week")
    outbox.refuse(BOOT, REFUSED_KEPT + 1, REFUSED_KEPT + 10, "malformed")

    outbox = reopened(outbox, tmp_path)
    assert numbers(outbox) == [REFUSED_KEPT + 11]
    assert outbox.refused_count == len(outbox.refused()) == REFUSED_KEPT
    assert outbox.refused()[0] == (BOOT, 11, "from next week")
    assert outbox.refused()[-1] == (BOOT, REFUSED_KEPT + 10, "malformed")
