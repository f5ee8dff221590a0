"""A fleet loses its broker at once: `python -m trials.reconnect_storm [devices] [seconds away]`, of itself 2000 and 30.

The devices have the real outbox and session, many in each process; Mosquitto, ingest and the store are real too. The
broker is killed (kill -9), stays away, and comes back; meanwhile each device goes on making readings. The trial shows
how many connect in each second, how long it takes until all are back and all backlog is stored, and ends with 1 if a
reading is missing or stored twice, or if a device is not back within two minutes.
"""

import contextlib
import logging
import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from broker.messages import Status
from device.delivery import session
from device.delivery.outbox import Limits, Outbox, Owner
from device.delivery.row import Row
from device.delivery.session import Session
from device.delivery.timestamps import Stamp, Timestamps
from device.settings import DeviceSettings
from server.store.redis_store import RedisStore
from trials import load
from trials.chaos.services import Services
from trials.processes import PASSWORD, wait_until

PER_PROCESS = 125
PERIOD_S = 20.0
"""Each device makes a reading so often."""
CHECK_S = 10.0
"""How often a device looks for what is to be sent again: each second in earnest, too much for one machine with all."""
WITHIN_S, LONG_S = 120.0, 900.0
"""How long it may take until all are back, and how long the trial waits for anything."""
TELL_EVERY_S = 1.0
"""How often a process tells the trial of its devices."""
DESCRIPTORS = 16_384
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["device.delivery.session"])


class Storm(NamedTuple):
    """What happened after the broker was back."""

    connects: dict[int, int]
    """By second after the broker's return."""
    back_s: float
    """Until the last device was connected."""
    drained_s: float
    """Until the last record was confirmed."""
    backlog: int
    """Records that waited when the broker came back."""
    produced: int
    stored: int
    wrong: list[str]
    """Devices of which not exactly what they made is stored."""


def main() -> None:
    """Run the trial and print its figures."""
    count, away_s = (int(word) for word in (*sys.argv[1:], *("2000", "30")[len(sys.argv) - 1 :]))
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        storm = run(Path(folder), count, away_s)
    print(f"devices            {count:,} with a reading every {PERIOD_S:.0f} s; the broker was away for {away_s} s")
    print(f"all connected      after {storm.back_s:.0f} s, counted from the broker's return")
    print(f"connects a second  {max(storm.connects.values())} at most")
    print(f"backlog            {storm.backlog:,} records, all of them confirmed after {storm.drained_s:.0f} s")
    print(f"readings           {storm.produced:,} made, {storm.stored:,} stored")
    for first in range(0, max(storm.connects) + 1, 10):
        connects = sum(storm.connects.get(first + second, 0) for second in range(10))
        print(f"  {first:>3} to {first + 9:>3} s     {connects:>6,} connect")
    for sentence in storm.wrong[:10]:
        print(sentence)
    if storm.wrong or storm.back_s > WITHIN_S:
        raise SystemExit(1)


def run(folder: Path, count: int, away_s: float) -> Storm:
    """Let a fleet lose its broker, and return what happened."""
    names = load.devices(count)
    services = Services(folder / "services", names, None, valkey=False)
    groups: list[_Group] = []
    try:
        resource.prlimit(services.broker.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        services.wait_ready()
        groups = [
            _Group(folder, services.broker_port, names[first : first + PER_PROCESS])
            for first in range(0, count, PER_PROCESS)
        ]
        wait_until(lambda: _connects(groups, 0.0) >= count, "all devices are connected at first", 0.5, LONG_S)
        time.sleep(PERIOD_S)
        with services.broker.down(signal.SIGKILL):
            lost_s = time.monotonic()
            time.sleep(away_s)
        resource.prlimit(services.broker.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        back_s = time.monotonic()
        backlog = sum(group.waits for group in groups)
        wait_until(lambda: _connects(groups, lost_s) >= count, "all devices are connected again", 0.1, LONG_S)
        connected = sorted(at_s - back_s for group in groups for at_s in group.connected if at_s > lost_s)
        for group in groups:
            group.tell("silence")
        wait_until(lambda: all(group.is_drained for group in groups), "all is confirmed", 0.1, LONG_S)
        drained_s = time.monotonic() - back_s
        made = {name: number for group in groups for name, number in group.made.items()}
        wrong = _wrong(services.kept, made)
        stored = sum(device.readings for name in names if (device := services.kept.device(name)))
        connects = dict(Counter(max(0, int(at_s)) for at_s in connected))
        return Storm(connects, connected[-1], drained_s, backlog, sum(made.values()), stored, wrong)
    finally:
        for group in groups:
            group.close()
        services.close()


def _connects(groups: "list[_Group]", since_s: float) -> int:
    """Return how many devices have connected since a moment."""
    return sum(at_s > since_s for group in groups for at_s in group.connected)


def _wrong(kept: RedisStore, made: dict[str, int]) -> list[str]:
    found = []
    for name, number in made.items():
        device = kept.device(name)
        stored = sum(table.at.size for table in kept.readings(name, 0, kept.now() + 60_000))
        counted = device.readings if device else 0
        if not number == stored == counted:
            found.append(f"{name} made {number} readings; {stored} are stored and {counted} counted")
    return found


class _Group:
    """A process with many devices."""

    def __init__(self, folder: Path, mqtt_port: int, names: list[str]) -> None:
        reader, pipe = _context.Pipe(duplex=False)
        control, self._control = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_live, args=(folder, mqtt_port, names, pipe, control), daemon=True)
        self._process.start()
        pipe.close()
        control.close()
        self.waits = 0
        self.made: dict[str, int] = {}
        self.connected: list[float] = []
        """When each device connected last, on the monotonic clock."""
        self.is_drained = False
        threading.Thread(target=self._read, args=(reader,), daemon=True).start()

    def tell(self, word: str) -> None:
        self._control.send(word)

    def close(self) -> None:
        self._process.kill()
        self._process.join()

    def _read(self, reader: Connection) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self.waits, silent, self.made, self.connected = reader.recv()
                self.is_drained = silent and not self.waits


def _live(folder: Path, mqtt_port: int, names: list[str], pipe: Connection, control: Connection) -> None:
    """Run the devices of one process until the trial ends."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, most), most))
    logging.disable(logging.WARNING)
    session.CHECK_S = CHECK_S
    devices = [_Device(folder / name, mqtt_port, name) for name in names]
    for device in devices:
        device.session.start()
        time.sleep(0.02)  # the trial is about the second time that they connect
    due = {device: time.monotonic() + random.uniform(0, PERIOD_S) for device in devices}
    silent, tell_s = False, 0.0
    while True:
        if control.poll(0.05):
            try:
                silent = control.recv() == "silence"
            except EOFError:
                return
        now_s = time.monotonic()
        for device, at_s in due.items():
            if not silent and at_s <= now_s:
                due[device] = at_s + PERIOD_S
                device.speak()
        if now_s >= tell_s:
            tell_s = now_s + TELL_EVERY_S
            made, connected = {one.name: one.made for one in devices}, [one.session.connected_s for one in devices]
            with contextlib.suppress(BrokenPipeError):
                pipe.send((sum(device.waits for device in devices), silent, made, connected))


class _Session(Session):
    """A session that remembers when it connected last."""

    connected_s = 0.0

    def on_connected(self) -> None:
        """Note the moment."""
        self.connected_s = time.monotonic()
        super().on_connected()


class _Device:
    """One device: outbox and session are real, readings are made up."""

    def __init__(self, folder: Path, mqtt_port: int, name: str) -> None:
        self.name = name
        self.made = 0
        folder.mkdir()
        limits = Limits(10**6, 10**9, 10**9)
        self._outbox = Outbox(folder / "outbox.sqlite", Owner(name, frozenset()), limits, Timestamps(0.0))
        url = f"mqtt://127.0.0.1:{mqtt_port}"
        settings = DeviceSettings(mqtt_url=url, mqtt_password=PASSWORD, state_dir=folder)
        facts: dict[str, Any] = {"name": name, "labels": ("ANG", "HAP", "NEU"), "model": "ang-hap-neu-1"}
        status = Status(state="online", boot=load.boot(1), connection=0, version="trial", **facts)
        self.session = _Session(settings, name, status, self._outbox, lambda _name, _payload: None)

    @property
    def waits(self) -> int:
        """Return how many records wait to be confirmed."""
        return self._outbox.waiting()[0]

    def speak(self) -> None:
        """Make a reading."""
        at = time.time_ns() // 1_000_000
        reading = load.reading(1, self.made, at)
        self._outbox.put(Row.of(reading, Stamp(at, synced=True, held_ms=None, kernel_boot="")))
        self.made += 1
        self.session.notify()


if __name__ == "__main__":
    main()
