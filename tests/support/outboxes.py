"""Outboxes that `tests/device/conftest.py` closes when the test ends."""

import sqlite3
from pathlib import Path

from brokers import DEVICE

from device.delivery.outbox import Limits, Outbox, Owner
from device.delivery.outbox_tiers import RETRY_MS
from device.delivery.row import Kind, Row
from device.delivery.timestamps import Stamp, Timestamps
from device.system.clock import Clock
from device.system.identity import Machine

OPEN: list[Outbox] = []
MACHINE: Machine = frozenset({"serial:10000000a1b2c3d4", "mac:b827eb000001"})
BOOT = "0123456789abcdef"


class TestClock:
    """A clock that moves only with `advance`; synchronised from the start unless a test says otherwise."""

    __test__ = False

    def __init__(self, now_ms: int = 1_760_000_000_000, *, synced: bool = True) -> None:
        self.unix_ms = now_ms
        self.since_start_ms = 20_000
        self.right = synced
        self.machine_start = "a"

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self.unix_ms += round(seconds * 1000)
        self.since_start_ms += round(seconds * 1000)

    def now_ms(self) -> int:
        """Return Unix milliseconds."""
        return self.unix_ms

    def monotonic_ms(self) -> int:
        """Return milliseconds since the machine started."""
        return self.since_start_ms

    def synced(self) -> bool:
        """Return whether the clock is synchronised."""
        return self.right

    def kernel_boot(self) -> str:
        """Return the boot id of the machine."""
        return self.machine_start


def open_outbox(
    folder: Path,
    device: str = DEVICE,
    machine: Machine = MACHINE,
    *,
    max_rows: int = 1_000,
    max_bytes: int = 10_000_000,
    max_age_s: float = 3_600,
    clock: Clock | None = None,
    wait_s: float = 0,
) -> Outbox:
    """Return the outbox of a folder."""
    timestamps = Timestamps(wait_s, clock) if clock else Timestamps(wait_s)
    limits = Limits(max_rows, max_bytes, max_age_s)
    OPEN.append(Outbox(folder / "outbox.sqlite", Owner(device, machine), limits, timestamps))
    return OPEN[-1]


def put(
    outbox: Outbox,
    seq: int,
    at_ms: int = 1_760_000_000_000,
    boot: str = BOOT,
    *,
    payload: bytes = b"",
    kind: Kind = "reading",
    synced: bool = True,
) -> None:
    """Put a row with a final stamp; the default payload names the sequence number."""
    outbox.put(Row(kind, boot, seq, payload or f"row {seq}".encode(), Stamp(at_ms, synced, None, "a")))


def numbers(outbox: Outbox) -> list[int]:
    """Return the waiting sequence numbers, oldest first."""
    return [row.seq for row in outbox.oldest(10_000)]


def reopened(outbox: Outbox, folder: Path) -> Outbox:
    """Close an outbox and open it as the next process does."""
    outbox.close()
    return open_outbox(folder)


class Blocked:
    """Makes every write to an outbox's file fail until `end`; reads work."""

    def __init__(self, outbox: Outbox, clock: TestClock) -> None:
        assert outbox._table._file
        outbox._table._file.db.execute("PRAGMA busy_timeout = 0")
        self._clock = clock
        self._other = sqlite3.connect(outbox._table._path, isolation_level=None)
        self._other.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        """Let writes succeed again, and move the clock to the next retry."""
        self._other.close()
        self._clock.advance(RETRY_MS / 1000)
