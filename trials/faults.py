"""What each fault costs: `python -m trials.faults [seed]`, about two minutes.

Devices with the real outbox and session publish to Mosquitto, ingest and the store as the demo starts them; ingest
reaches the store through a relay that can be cut. Under this load each fault happens, then all of them in a random
order. Afterwards every record that was sent must be in the store exactly once: among its readings, in its rollups and
by its counters. The exit code is 1 if one is not.
"""

import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from broker import embedded
from broker.messages import Status
from device.delivery.outbox import Limits, Outbox, Owner
from device.delivery.row import Row
from device.delivery.session import Session
from device.delivery.timestamps import Stamp, Timestamps
from device.settings import DeviceSettings
from device.system import identity
from server.errors import StoreAwayError
from server.store import rollups
from server.store.embedded import store_command
from server.store.keys import DAY_MS
from server.store.redis_store import RedisStore
from trials import load
from trials.processes import PASSWORD, free_port, wait_until
from trials.relay import Relay
from trials.services import environment

DEVICES = load.devices(8)
PER_S = 50
"""Records that each device makes."""
BEFORE_S, AFTER_S = 1.5, 1.5
"""How long devices send before a fault, and after everything is back."""
DOWN_S = 1.0
"""How long a killed process stays away."""
HALTED_S = 10.0
CUT_S = 12.0
"""Longer than ingest waits for a reply of the store."""
DRAIN_S = 90.0


class Count(NamedTuple):
    """What became of the records around one fault."""

    sent: int
    at_stake: int
    """Most unconfirmed records at a time."""
    stored: int
    lost: int
    doubled: int


def main() -> None:
    """Run the trial and print the table."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else time.time_ns() % 1_000_000
    logging.disable(logging.WARNING)  # of lost connections
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        system = System(Path(folder), random.Random(seed))
        try:
            print(f"{'fault':<36}{'sent':>8}{'unconfirmed':>13}{'stored':>8}{'lost':>6}{'doubled':>9}")
            for number, (name, fault) in enumerate([*FAULTS.items(), ("all of them, in a random order", everything)]):
                count = suffer(system, number, fault)
                bad += count.lost + count.doubled
                print(
                    f"{name:<36}{count.sent:>8,}{count.at_stake:>13,}{count.stored:>8,}{count.lost:>6}{count.doubled:>9}",
                    flush=True,
                )
        finally:
            system.stop()
    print(f"{len(DEVICES)} devices with {PER_S} records a second each; unconfirmed: most at a time; seed {seed}")
    if bad:
        raise SystemExit(1)


class Process:
    """A child process that can be ended in any way, and started again."""

    def __init__(self, argv: list[str], log: Path, settings: dict[str, str] | None = None) -> None:
        self._argv = argv
        self._settings = settings
        self.log = log
        self.start()

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as sink:
            self.child = subprocess.Popen(self._argv, stdout=sink, stderr=sink, env=self._settings)

    def end(self, number: signal.Signals) -> None:
        """End it with a signal."""
        self.child.send_signal(number)
        self.child.wait()

    def restart(self, number: signal.Signals) -> None:
        """End it with a signal, and start it again some time later."""
        self.end(number)
        time.sleep(DOWN_S)
        self.start()

    def halt(self, seconds: float) -> None:
        """Stop it for so long, without ending it."""
        os.kill(self.child.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(self.child.pid, signal.SIGCONT)


class System:
    """Broker, ingest and store."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.folder = folder
        self.dice = dice
        port = free_port()
        accounts = dict.fromkeys([embedded.SERVER_ACCOUNT, *DEVICES], PASSWORD)
        self.mqtt_url = f"mqtt://127.0.0.1:{port}"
        start = store_command(folder / "store")
        self.kept = RedisStore(start.url, 90 * DAY_MS, 730 * DAY_MS)
        """The store, not through the relay."""
        self.relay = Relay(folder / "relay.sock", Path(start.url.removeprefix("unix://")))
        self.broker = Process(
            embedded.prepare(folder / "broker", "127.0.0.1", port, accounts).argv, folder / "broker.log"
        )
        self.store = Process(start.argv, folder / "store.log")
        self.ingest = Process(
            [sys.executable, "-m", "moodwire", "server", "ingest"],
            folder / "ingest.log",
            environment(
                mqtt_url=self.mqtt_url,
                mqtt_username=embedded.SERVER_ACCOUNT,
                mqtt_password=PASSWORD,
                redis_url=self.relay.url,
            ),
        )
        wait_until(self.is_ready, "ingest is there")

    def is_ready(self) -> bool:
        """Return whether the store answers and ingest runs."""
        try:
            return self.kept.is_ingest_alive()
        except StoreAwayError:
            return False

    def stop(self) -> None:
        """End everything."""
        for process in (self.ingest, self.broker, self.store):
            process.end(signal.SIGTERM)
        self.kept.close()
        self.relay.close()


FAULTS: dict[str, Callable[[System], None]] = {
    "store killed (kill -9)": lambda system: system.store.restart(signal.SIGKILL),
    f"store stands still for {HALTED_S:.0f} s": lambda system: system.store.halt(HALTED_S),
    "store restarted": lambda system: system.store.restart(signal.SIGTERM),
    "Mosquitto killed (kill -9)": lambda system: system.broker.restart(signal.SIGKILL),
    "ingest killed (kill -9)": lambda system: system.ingest.restart(signal.SIGKILL),
    "ingest terminated": lambda system: system.ingest.restart(signal.SIGTERM),
    f"network to the store cut for {CUT_S:.0f} s": lambda system: system.relay.cut(CUT_S),
}


def everything(system: System) -> None:
    """Let all faults happen, with random pauses between them."""
    faults = list(FAULTS.values())
    system.dice.shuffle(faults)
    for fault in faults:
        fault(system)
        time.sleep(system.dice.uniform(0.0, 2.0))


def suffer(system: System, number: int, fault: Callable[[System], None]) -> Count:
    """Let devices send around one fault, wait until all records are confirmed, and count."""
    senders = [Sender(system, device, number) for device in DEVICES]
    time.sleep(BEFORE_S)
    fault(system)
    wait_until(system.is_ready, "the store answers and ingest is there")
    time.sleep(AFTER_S)
    for sender in senders:
        sender.fall_silent()
    waiting = sum(sender.leave() for sender in senders)
    if waiting:
        log = system.ingest.log.read_text()
        raise SystemExit(f"{waiting} records are unconfirmed {DRAIN_S:.0f} s after the fault; ingest says:\n{log}")
    counts = [count(system.kept, sender) for sender in senders]
    return Count(*(sum(column) for column in zip(*counts, strict=True)))


class Sender:
    """A device that sends all the time: outbox and session are real, readings are made up."""

    def __init__(self, system: System, device: str, run: int) -> None:
        self.device = device
        self.boot = load.boot(run)
        self.sent: set[int] = set()
        """Times of all readings, Unix ms, no two the same."""
        self.at_stake = 0
        self._run = run
        self._silent = threading.Event()
        owner = Owner(device, identity.machine())
        folder = system.folder / device
        folder.mkdir(exist_ok=True)
        self._outbox = Outbox(folder / "outbox.sqlite", owner, Limits(10**6, 10**9, 10**9), Timestamps(0.0))
        settings = DeviceSettings(mqtt_url=system.mqtt_url, mqtt_password=PASSWORD, state_dir=folder)
        status = Status(
            state="online",
            boot=self.boot,
            connection=0,
            name=device,
            labels=("ANG", "HAP", "NEU"),
            model="ang-hap-neu-1",
            version="trial",
        )
        self._session = Session(settings, device, status, self._outbox, lambda _name, _payload: None)
        self._session.start()
        self._voice = threading.Thread(target=self._speak, daemon=True)
        self._voice.start()

    def fall_silent(self) -> None:
        """Make no more records."""
        self._silent.set()
        self._voice.join()

    def leave(self) -> int:
        """Wait until all is confirmed, disconnect, and return how many records are not."""
        waiting = self._session.drain(DRAIN_S)
        self._session.stop()
        refused = self._outbox.refused_count
        self._outbox.close()
        return waiting + refused

    def _speak(self) -> None:
        at = 0
        while not self._silent.wait(1 / PER_S):
            at = max(at + 1, time.time_ns() // 1_000_000)
            reading = load.reading(self._run, len(self.sent), at)
            self._outbox.put(Row.of(reading, Stamp(at, synced=True, held_ms=None, kernel_boot="")))
            self._session.notify()
            self.sent.add(at)
            self.at_stake = max(self.at_stake, self._outbox.waiting()[0])


def count(kept: RedisStore, sender: Sender) -> Count:
    """Count what is stored of one device's records around a fault.

    Every fault has a boot of its own. Readings are found by their times. The device's counters must agree with all its
    readings, else something was counted twice or not at all.
    """
    start, end = min(sender.sent), max(sender.sent) + 1
    stored = np.concatenate([table.at for table in kept.readings(sender.device, start, end)])
    everything_stored = sum(table.at.size for table in kept.readings(sender.device, 0, end))
    device = kept.device(sender.device)
    assert device is not None
    counters = (
        device.readings,
        sum(boot.records for boot in kept.boots(sender.device)),
        sum(int(table.count.sum()) for table in kept.rollups(sender.device, rollups.DAY, 0, end)),
    )
    boot = next(boot for boot in kept.boots(sender.device) if boot.boot == sender.boot)
    return Count(
        sent=len(sender.sent),
        at_stake=sender.at_stake,
        stored=stored.size,
        lost=max(len(sender.sent - set(stored.tolist())), boot.missing),
        doubled=max(stored.size - np.unique(stored).size, max(counters) - everything_stored),
    )


if __name__ == "__main__":
    main()
