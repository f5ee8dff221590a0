"""kill -9 again and again: `python -m trials.device_kills [kills] [devices] [seed]`, by default 50 kills of 2 devices.

Each device is the real `moodwire device run`, with one state folder for all its runs. A SIGKILL ends each run at a
random moment, from the first tenths of a second on; the last run ends by itself. Mosquitto, ingest, the store and REST
are real too. Ingest is stopped every few seconds, so that many a device dies with unconfirmed records, and the shipped
bundle has a window every 100 ms instead of every second, so that there is more to lose. In the end every record that
was seen in an outbox after a kill, or on the wire, must be in the store exactly once.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as paho

import models.bundle
from broker import embedded, topics
from broker.batches import split
from broker.messages import identify
from common import mqtt
from device.delivery.outbox import Limits, Outbox, Owner
from device.delivery.timestamps import Timestamps
from device.system import identity
from trials.processes import PASSWORD, wait_until
from trials.services import ROOT, Services, environment, serving

HOP_MS = 100
SHORTEST_RUN_S, LONGEST_RUN_S = 0.1, 7.0
"""The first record comes after some 3.5 s."""
INGEST_STOPPED_S, INGEST_RUNS_S = 2.0, 3.0
LAST_CLIP = ROOT / "samples" / "5-door.flac"

Record = tuple[str, int]
"""Boot and sequence number."""


class Verdict(NamedTuple):
    """What became of one device's records."""

    kills: int
    unconfirmed: list[int]
    """Records in the outbox after each kill."""
    seen: int
    """Different records seen in the outbox after a kill, or on the wire."""
    sent_again: int
    """Repetitions of these on the wire."""
    lost: int
    """Records that are not in the store: those that were seen, and those that are missing between others."""
    readings_seen: int
    readings_stored: int

    @property
    def twice(self) -> int:
        """Return how many readings the store counts beyond those that there were."""
        return self.readings_stored - self.readings_seen


def main() -> None:
    """Run the trial and print its figures."""
    kills, devices, seed = (
        int(word) for word in (*sys.argv[1:], *("50", "2", str(time.time_ns()))[len(sys.argv) - 1 :])
    )
    with tempfile.TemporaryDirectory() as folder:
        verdicts = kill(Path(folder), kills, devices, seed)
    waiting = [rows for verdict in verdicts for rows in verdict.unconfirmed]
    print(f"seed               {seed}")
    print(f"kill -9            {len(waiting)} times, {kills} of each of {devices} devices with one state folder each")
    print(f"unconfirmed        records in the outbox after {sum(map(bool, waiting))} kills, {max(waiting)} at most")
    print(f"records            {sum(verdict.seen for verdict in verdicts)}, of them")
    print(f"  sent again       {sum(verdict.sent_again for verdict in verdicts)} times")
    print(f"  lost             {sum(verdict.lost for verdict in verdicts)}")
    print(f"  stored twice     {sum(verdict.twice for verdict in verdicts)}")
    if any(verdict.lost or verdict.twice for verdict in verdicts):
        raise SystemExit("records were lost or stored twice")


def kill(folder: Path, kills: int, devices: int, seed: int) -> list[Verdict]:
    """Run and kill devices side by side, and return what became of the records of each."""
    bundle = _fast_bundle(folder / "bundle")
    ids = [f"02{number:010x}" for number in range(1, devices + 1)]
    with serving(folder / "services", ids) as services, _wire(services) as wire, _stopping(services.ingest_pid):
        watched = [_Device(services, folder / device, device, bundle, wire) for device in ids]
        with ThreadPoolExecutor(devices) as pool:
            chances = [random.Random(f"{seed} {device}") for device in ids]
            list(pool.map(lambda device, chance: device.run(kills, chance), watched, chances))
        return [device.verdict() for device in watched]


class _Wire:
    """How often each record was sent, by device and kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: dict[tuple[str, str], Counter[Record]] = {}

    def count(self, device: str, kind: str, payload: bytes) -> None:
        with self._lock:
            sent = self._sent.setdefault((device, kind), Counter())
            for part in split(payload):
                record = identify(part)
                assert record is not None, part
                sent[record.boot, record.seq] += 1

    def sent(self, device: str, kind: str) -> Counter[Record]:
        with self._lock:
            return Counter(self._sent.get((device, kind), {}))


@contextmanager
def _wire(services: Services) -> Iterator[_Wire]:
    """Listen to what goes to ingest."""
    wire = _Wire()
    client = mqtt.client(embedded.server_account(2), PASSWORD, tls=None, client_id="trial-wire")
    subscribed = threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()

    def on_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        device, kind = message.topic.split("/")[-2:]
        wire.count(device, kind, bytes(message.payload))

    client.on_message = on_message
    client.connect("127.0.0.1", services.mqtt_port)
    client.loop_start()
    client.subscribe([(f"{topics.ROOT}/+/{kind}", 1) for kind in ("reading", "heard")])
    wait_until(subscribed.is_set, "the broker lets the trial listen")
    try:
        yield wire
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def _stopping(pid: int) -> Iterator[None]:
    """Stop a process every few seconds, and let it continue."""
    over = threading.Event()

    def stop_and_continue() -> None:
        while not over.wait(INGEST_RUNS_S):
            os.kill(pid, signal.SIGSTOP)
            over.wait(INGEST_STOPPED_S)
            os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=stop_and_continue)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _Device:
    """One device with all its runs."""

    def __init__(self, services: Services, state: Path, device: str, bundle: Path, wire: _Wire) -> None:
        self._services = services
        self._state = state
        self._device = device
        self._bundle = bundle
        self._wire = wire
        self._outboxes: dict[str, set[Record]] = {"reading": set(), "heard": set()}
        self._unconfirmed: list[int] = []

    def run(self, kills: int, chance: random.Random) -> None:
        """Run and be killed, and at last end by itself."""
        for _ in range(kills):
            process = self._start(clips=ROOT / "samples", loop="true")
            try:
                process.wait(chance.uniform(SHORTEST_RUN_S, LONGEST_RUN_S))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            else:
                raise SystemExit(f"the device ended by itself: {self._log().read_text()}")
            self._look_into_outbox()
        process = self._start(clips=LAST_CLIP)
        if process.wait(120) != 0 or "wait in the outbox" in self._log().read_text():
            raise SystemExit(f"the last run left something behind: {self._log().read_text()}")

    def verdict(self) -> Verdict:
        """Compare what was seen with what is stored."""
        wire = {kind: self._wire.sent(self._device, kind) for kind in self._outboxes}
        readings = self._outboxes["reading"] | set(wire["reading"])
        seen = readings | self._outboxes["heard"] | set(wire["heard"])
        last: dict[str, int] = {}
        for boot, seq in seen:
            last[boot] = max(seq, last.get(boot, 0))
        made = sum(seq + 1 for seq in last.values())
        stored, readings_stored, missing = self._services.kept(self._device)
        return Verdict(
            kills=len(self._unconfirmed),
            unconfirmed=self._unconfirmed,
            seen=len(seen),
            sent_again=sum(sent.total() - len(sent) for sent in wire.values()),
            lost=max(made - stored, missing, made - len(seen)),
            readings_seen=len(readings),
            readings_stored=readings_stored,
        )

    def _start(self, **settings: object) -> subprocess.Popen[bytes]:
        account = {"identity": self._device, "mqtt_url": self._services.mqtt_url, "mqtt_password": PASSWORD}
        others = {"model": self._bundle, "state_dir": self._state, "clock_wait_s": 0}
        self._state.mkdir(exist_ok=True)
        with self._log().open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "moodwire", "device", "run"],
                env=environment(**account, **others, **settings),
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def _log(self) -> Path:
        return self._state.with_suffix(".log")

    def _look_into_outbox(self) -> None:
        """Read a copy of the outbox, because opening it would tidy up what the next run must find."""
        with tempfile.TemporaryDirectory() as folder:
            for file in self._state.glob("outbox.sqlite*"):
                shutil.copy(file, folder)
            outbox = Outbox(
                Path(folder) / "outbox.sqlite",
                Owner(self._device, identity.machine()),
                Limits(10**9, 10**12, 10**9),
                Timestamps(0.0),
            )
            rows = outbox.oldest(10**6)
            outbox.close()
        for row in rows:
            self._outboxes[row.kind].add((row.boot, row.seq))
        self._unconfirmed.append(len(rows))


def _fast_bundle(folder: Path) -> Path:
    """Make a copy of the shipped bundle with more windows."""
    shutil.copytree(models.bundle.find(models.bundle.DEFAULT), folder)
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hop_ms": HOP_MS}))
    return folder


if __name__ == "__main__":
    main()
