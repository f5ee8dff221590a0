"""Outboxes that are closed when the test ends; `tests/device/conftest.py` sees to that."""

from pathlib import Path

from brokers import DEVICE

from device.outbox import Outbox

OPEN: list[Outbox] = []


def open_outbox(
    folder: Path | None, device: str = DEVICE, *, max_rows: int = 1_000, max_age_s: float = 3_600
) -> Outbox:
    """Return the outbox of a folder, or one in memory."""
    path = folder / "outbox.sqlite" if folder else Path(":memory:")
    OPEN.append(Outbox(path, device, max_rows=max_rows, max_age_s=max_age_s))
    return OPEN[-1]
