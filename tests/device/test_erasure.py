"""After a Delete no file of the device holds anything of what it heard before: the whole state folder is searched."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from brokers import ACCOUNTS, DEVICE, RunningBroker
from outboxes import OPEN, open_outbox
from records import DAY_MS, heard, reading
from rooms import ROOT, Room
from services import wait_until

from broker import topics
from broker.messages import Generation, encode
from device.delivery.outbox_file import OUTBOX, peek
from device.delivery.row import Row
from device.delivery.timestamps import Stamp
from device.system.identity import machine

MARKER = b"5ecre7"
"""In the boot and the model's name of every record."""


def fill(folder: Path, boot: str, device: str = DEVICE) -> None:
    """Put marked records of both kinds into an outbox, confirm some, and leave it as kill -9 does."""
    work = folder / "work"
    outbox = open_outbox(work, device, machine())
    stamp = Stamp(20_000 * DAY_MS, synced=True, held_ms=None, kernel_boot="a")
    for seq in range(0, 200, 2):
        outbox.put(Row.of(reading(seq, stamp.at_ms, boot=boot, model=MARKER.decode()), stamp))
        outbox.put(Row.of(heard(seq + 1, stamp.at_ms, boot=boot), stamp))
    outbox.confirm(boot, [(20, 79)])
    outbox.refuse(boot, 100, 120, f"{MARKER.decode()} is refused")
    for file in work.iterdir():
        shutil.copy(file, folder / file.name)
    OPEN.pop().close()
    shutil.rmtree(work)


def holding(folder: Path) -> list[str]:
    """Return the files below a folder that hold the marker."""
    return [
        str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() and MARKER in file.read_bytes()
    ]


@pytest.mark.slow
def test_a_delete_leaves_no_byte_of_what_was_heard_in_any_file(tmp_path: Path, broker: RunningBroker) -> None:
    """Rows, refused rows, confirmed rows in free pages, logs, damaged and foreign files: none of it is left."""
    state = tmp_path / "state"
    state.mkdir()
    boot = f"{MARKER.decode()[:1]}{'0' * 15}"
    fill(state, boot, "112233445566")
    OPEN.append(open_outbox(state, machine=machine()))  # sets the foreign file aside
    OPEN.pop().close()
    fill(state, boot)
    with closing(sqlite3.connect(state / OUTBOX)) as db, db:
        db.execute("UPDATE rows SET kind = 'x' WHERE id % 7 = 0")
    shutil.copy(state / OUTBOX, state / "outbox-salvage-1.sqlite")
    settings = {"clips": ROOT / "samples", "loop": True, "identity": DEVICE, "state_dir": state, "clock_wait_s": 0}
    settings |= {"mqtt_url": broker.url, "mqtt_password": ACCOUNTS[DEVICE]}

    with Room(tmp_path, "device", "run", **settings) as device:
        device.says("records are salvaged")
        wait_until(lambda: peek(state / OUTBOX).rows > 0, "there is something to erase")
        assert {"outbox-foreign-1.sqlite", "outbox-damaged-1.sqlite"} <= set(holding(state))
        with broker.client("server") as server:
            server.publish(topics.topic(DEVICE, "generation"), encode(Generation(gen=1)), qos=1, retain=True)
            device.says("someone deleted this device's data")
        wait_until(lambda: not holding(state), f"no file holds anything of it; there are {holding(state)}")
        device.kill()

    assert holding(state) == []
    assert peek(state / OUTBOX).device == DEVICE
