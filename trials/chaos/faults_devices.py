"""Faults of devices: their process, power, disk, clock and card, and what is done to their data meanwhile."""

import shutil
import sqlite3
import stat
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from os import geteuid
from pathlib import Path

import paho.mqtt.client as paho

from broker import embedded, topics
from broker.messages import Status, encode
from common import mqtt
from device.delivery.outbox_file import OUTBOX
from device.delivery.outbox_table import OutboxTable, connect
from trials.chaos.fleet import Device
from trials.chaos.registry import fault
from trials.chaos.world import NotHereError, Strike
from trials.processes import PASSWORD, wait_until

_BURST_PER_S = 200.0
_WAL_HEADER_BYTES, _FRAME_BYTES = 32, 24 + 1024
"""Of SQLite's write-ahead log; a frame holds one page (https://www.sqlite.org/walformat.html)."""
_BACKFILLED = 96
"""Where the index of the log says how many frames the file has too."""
_PAGE_BYTES = 1024
DAY_MS = 86_400_000


@fault("device", 0.1, 2)
def device_killed(strike: Strike) -> None:
    """A device's process is killed (kill -9) and started again."""
    strike.device.kill()
    strike.last()
    strike.device.start()


@fault("device", 1, 6)
def device_halted(strike: Strike) -> None:
    """A device's process stands still (SIGSTOP)."""
    with strike.device.halted():
        strike.last()


@fault("device", 0.1, 2)
def device_rebooted_in_mid_batch(strike: Strike) -> None:
    """A device restarts in the middle of a burst of 200 readings a second."""
    _burst(strike)
    strike.device.kill()
    strike.last()
    strike.device.start(reboot=True)


@fault("device", 0.1, 2)
def device_power_cut(strike: Strike) -> None:
    """A device loses its power while cut off: of its outbox's log, what was not synchronised is cut in the middle."""
    device = strike.device
    with device.network.being("cut"):
        _burst(strike)
        device.kill()
    log, index = (device.folder / f"{OUTBOX}{suffix}" for suffix in ("-wal", "-shm"))
    if log.exists() and index.exists() and (size := log.stat().st_size):
        (backfilled,) = struct.unpack_from("=I", index.read_bytes(), _BACKFILLED)
        least = min(size, _WAL_HEADER_BYTES + backfilled * _FRAME_BYTES)
        with log.open("r+b") as damaged:
            damaged.truncate(strike.dice.randint(least, size))
        index.unlink()
    _forfeit_what_is_gone(device, "lost with the power")
    strike.last()
    device.start(reboot=True)


@fault("device", 1, 5)
def device_disk_full(strike: Strike) -> None:
    """No file of a device can grow; records wait in memory."""
    with strike.device.writing_nothing():
        strike.last()


@fault("device", 1, 4)
def device_disk_read_only(strike: Strike) -> None:
    """A device restarts on a card that cannot be written, and can be written again later."""
    device = strike.device
    device.kill()
    try:
        with _read_only(device.folder):
            device.start()
            strike.last()
    except NotHereError:
        device.start()
        raise


@fault("device", 0.1, 2)
def device_disk_damaged(strike: Strike) -> None:
    """While a device is off, pages in the middle of its outbox are overwritten with noise."""
    device = strike.device
    with device.network.being("cut"):
        _burst(strike)
        device.kill()
    path = device.folder / OUTBOX
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pages = path.stat().st_size // _PAGE_BYTES
    with path.open("r+b") as damaged:
        for _ in range(1 + pages // 20):
            damaged.seek(strike.dice.randrange(1, max(2, pages)) * _PAGE_BYTES)
            damaged.write(strike.dice.randbytes(_PAGE_BYTES))
    device.forfeit("damaged on the disk")
    strike.last()
    device.start()


@fault("device", 1, 4)
def device_clock_back(strike: Strike) -> None:
    """A device's clock is set back by an hour, and right again later."""
    strike.device.set_clock(-3_600_000, synced=True)
    strike.last()
    strike.device.set_clock(0, synced=True)


@fault("device", 1, 4)
def device_clock_ahead(strike: Strike) -> None:
    """A device's clock is set ahead by 200 s, and right again later."""
    strike.device.set_clock(200_000, synced=True)
    strike.last()
    strike.device.set_clock(0, synced=True)


@fault("device", 1, 4)
def device_without_clock(strike: Strike) -> None:
    """A device starts in 1970, and is told the time later."""
    device = strike.device
    device.kill()
    device.clock_wait_s = 600.0
    device.set_clock(-round(time.time() * 1000), synced=False)
    device.start(reboot=True)
    strike.last()
    device.set_clock(0, synced=True)


@fault("device", 0.1, 2)
def outbox_wiped(strike: Strike) -> None:
    """While a device is off, its outbox is deleted."""
    device = strike.device
    device.kill()
    for file in device.folder.glob(f"{OUTBOX}*"):
        file.unlink()
    device.forfeit("deleted with the outbox")
    strike.last()
    device.start()


@fault("device", 1, 4)
def card_cloned(strike: Strike) -> None:
    """A copy of a device's card starts in another machine, as another device."""
    _clone(strike, strike.world.spare.pop(), frozenset({"serial:another"}))


@fault("device", 1, 4)
def card_cloned_with_its_id(strike: Strike) -> None:
    """A copy of a device's card starts elsewhere under the same id: both send the same backlog."""
    _clone(strike, strike.device.name, strike.device.machine)


@fault("device", 1, 3)
def stale_last_will(strike: Strike) -> None:
    """The broker learns of a device's death only when the device is back, and then publishes its last will."""
    device = strike.device
    with device.network.being("lingering"):
        device.kill()
        device.start()
        strike.last()


@fault("device", 1, 4)
def old_last_will(strike: Strike) -> None:
    """The last will of an earlier run of the device is published again and again while it is online."""
    device = strike.device
    will = Status(state="offline", boot="0" * 16, connection=1, name="", labels=("ANG",), model="", version="")
    with _connected(strike, "trial-will", embedded.server_account(2)) as client:
        for _ in range(5):
            client.publish(topics.topic(device.name, "status"), encode(will), qos=1, retain=True)
            time.sleep(strike.for_s / 5)


@fault("device", 1, 4)
def client_id_doubled(strike: Strike) -> None:
    """Someone connects with the device's own account and client id and throws it out, again and again."""
    device = strike.device
    over_s = time.monotonic() + strike.for_s
    while time.monotonic() < over_s:
        with _connected(strike, f"moodwire-{device.name}-{device.run.boot[:8]}", device.name):
            time.sleep(0.3)


@fault("device", 1, 3)
def retention_passes(strike: Strike) -> None:
    """A device is away until its backlog is older than the server keeps: the server says so and stores none of it."""
    device = strike.device
    device.expects.add("expired")
    with device.network.being("cut"):
        device.set_clock(-2 * DAY_MS, synced=True)
        strike.last()
        device.set_clock(0, synced=True)


@fault("device", 1, 4)
def erased_while_away(strike: Strike) -> None:
    """REST erases a device that is offline with a backlog: nothing from before may come back."""
    device = strike.device
    device.expects.add("erased")
    with device.network.being("cut"):
        time.sleep(strike.for_s / 2)
        wait_until(lambda: strike.services.delete(device.name), f"REST erases {device.name}", every_s=0.2)
        time.sleep(strike.for_s / 2)


@fault("device", 0.5, 3)
def model_changed(strike: Strike) -> None:
    """A device changes to a model with other labels, and back, in the middle of its stream."""
    device = strike.device
    for model in ("six", "ang-hap-neu"):
        device.model = model
        device.tell("model", model)
        strike.last()


def _burst(strike: Strike) -> None:
    """Let a device make many readings for a moment."""
    strike.device.tell("rate", _BURST_PER_S)
    time.sleep(strike.dice.uniform(0.2, 1.0))


def _clone(strike: Strike, name: str, machine: frozenset[str]) -> None:
    """Start a copy of a device's card beside it, and end it."""
    device, services, world = strike.device, strike.services, strike.world
    check = len(world.everyone()) + 1 if name != device.name else device.check
    number = len(world.extra) + 1
    folder = services.folder / "devices" / f"clone-{name}-{number}"
    with device.network.being("cut"):
        time.sleep(strike.for_s / 2)  # so that the card has a backlog
        with device.halted():
            twin = device.clone(name, check, folder, services.broker_port, number)
    twin.machine = machine
    twin.start()
    world.extra.append(twin)
    strike.last()


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    """Let nobody write in a folder as long as the context lasts."""
    if geteuid() == 0:
        place = str(folder)
        if subprocess.run(["mount", "--bind", place, place], capture_output=True, check=False).returncode:
            raise NotHereError("root may not mount here")
        subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", place], check=True)
        return
    modes = {path: path.stat().st_mode for path in [*folder.iterdir(), folder]}
    for path, mode in modes.items():
        path.chmod(mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    try:
        yield
    finally:
        for path, mode in reversed(modes.items()):
            path.chmod(mode)


@contextmanager
def _connected(strike: Strike, client_id: str, account: str) -> Iterator[paho.Client]:
    """Be connected to the broker with an account, if the broker is there."""
    client = mqtt.client(account, PASSWORD, None, client_id=client_id)
    try:
        client.connect("127.0.0.1", strike.services.broker_port)
    except OSError:
        pass  # the broker is away
    else:
        client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def _forfeit_what_is_gone(device: Device, cause: str) -> None:
    """Note what is no longer in the outbox of a device that is off, though the server has not confirmed it."""
    device.forfeit(cause)
    with tempfile.TemporaryDirectory() as folder:
        for file in device.folder.glob(f"{OUTBOX}*"):
            shutil.copy(file, folder)
        table = OutboxTable(connect(str(Path(folder) / OUTBOX)))
        left = {(row.boot, row.seq) for row in table.rows()}
        table.close()
    for run in device.runs:
        for seq in [seq for seq in run.forfeit if (run.boot, seq) in left]:
            del run.forfeit[seq]
