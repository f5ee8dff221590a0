"""kill -9 again and again: `python -m trials.device_kills [lives] [devices] [seed]`, by default 50 lives of 2 devices.

Each device is the real `moodwire device run` with one state folder for all its lives, each of which ends by SIGKILL at
a random moment, from the first tenths of a second on. Mosquitto, ingest, the store and REST are real too, and ingest
stands still every few seconds, so that many a device dies with records that nobody has confirmed. The bundle is the
shipped one with a window every 100 ms instead of every second, so that there is more to lose. The last life ends by
itself. Then everything that was seen in an outbox at a death, or on the wire, must be in the store, exactly once.
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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

import models.bundle
from broker import embedded, topics
from broker.messages import identify, split
from device.delivery.outbox import Limits, Outbox, Owner
from device.delivery.timestamps import Timestamps
from device.system import identity
from trials.processes import PASSWORD, wait_until
from trials.services import ROOT, Services, environment, serving

HOP_MS = 100
SHORTEST_S, LONGEST_S = 0.1, 7.0
"""Of a life; the first record comes after some 3.5 s."""
INGEST_STANDS_S, INGEST_GOES_S = 2.0, 3.0
LAST_CLIP = ROOT / "samples" / "4-door.flac"

Record = tuple[str, int]
"""Boot and sequence number."""


class Verdict(NamedTuple):
    """What became of one device's records."""

    kills: int
    died_with: list[int]
    """Records in the outbox at each death."""
    seen: int
    """Different records seen in the outbox at a death, or on the wire."""
    sent_again: int
    """Of these, how often one came over the wire another time."""
    lost: int
    """Records that are not in the store, seen or missing between others."""
    readings_seen: int
    readings_stored: int

    @property
    def twice(self) -> int:
        """Return how many readings the store counts beyond those that there were."""
        return self.readings_stored - self.readings_seen


def main() -> None:
    """Run the trial and print its figures."""
    lives, devices, seed = (
        int(word) for word in (*sys.argv[1:], *("50", "2", str(time.time_ns()))[len(sys.argv) - 1 :])
    )
    with tempfile.TemporaryDirectory() as folder:
        verdicts = kill(Path(folder), lives, devices, seed)
    died_with = [rows for verdict in verdicts for rows in verdict.died_with]
    print(f"seed               {seed}")
    print(f"kill -9            {len(died_with)} times, {lives} of each of {devices} devices with one state folder each")
    print(
        f"unconfirmed        records were in the outbox at {sum(map(bool, died_with))} deaths, {max(died_with)} at most"
    )
    print(f"records            {sum(verdict.seen for verdict in verdicts)}, of them")
    print(f"  sent again       {sum(verdict.sent_again for verdict in verdicts)} times")
    print(f"  lost             {sum(verdict.lost for verdict in verdicts)}")
    print(f"  stored twice     {sum(verdict.twice for verdict in verdicts)}")
    if any(verdict.lost or verdict.twice for verdict in verdicts):
        raise SystemExit("records were lost or stored twice")


def kill(folder: Path, lives: int, devices: int, seed: int) -> list[Verdict]:
    """Let devices live and die side by side, and return what became of the records of each."""
    bundle = _fast_bundle(folder / "bundle")
    ids = [f"02{number:010x}" for number in range(1, devices + 1)]
    with serving(folder / "services", ids) as services, _wire(services) as wire, _halting(services.ingest_pid):
        watched = [_Device(services, folder / device, device, bundle, wire) for device in ids]
        with ThreadPoolExecutor(devices) as pool:
            chances = [random.Random(f"{seed} {device}") for device in ids]
            list(pool.map(lambda device, chance: device.live(lives, chance), watched, chances))
        return [device.verdict() for device in watched]


class _Wire:
    """Every record that devices send, with how often it came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._came: dict[tuple[str, str], dict[Record, int]] = {}

    def take(self, device: str, kind: str, payload: bytes) -> None:
        with self._lock:
            came = self._came.setdefault((device, kind), {})
            for part in split(payload):
                name = identify(part)
                assert name is not None, part
                came[name.boot, name.seq] = came.get((name.boot, name.seq), 0) + 1

    def of(self, device: str, kind: str) -> dict[Record, int]:
        with self._lock:
            return dict(self._came.get((device, kind), {}))


@contextmanager
def _wire(services: Services) -> Iterator[_Wire]:
    """Listen to what goes to ingest."""
    wire = _Wire()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="trial-wire")
    client.username_pw_set(embedded.SERVER_ACCOUNT, PASSWORD)
    heard: list[int] = []
    client.on_subscribe = lambda *_: heard.append(1)

    def on_message(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        device, kind = message.topic.split("/")[-2:]
        wire.take(device, kind, bytes(message.payload))

    client.on_message = on_message
    client.connect("127.0.0.1", services.mqtt_port)
    client.loop_start()
    client.subscribe([(f"{topics.ROOT}/+/{kind}", 1) for kind in ("reading", "heard")])
    wait_until(lambda: heard, "the broker lets the trial listen")
    try:
        yield wire
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def _halting(pid: int) -> Iterator[None]:
    """Let a process stand still every few seconds."""
    over = threading.Event()

    def halt() -> None:
        while not over.wait(INGEST_GOES_S):
            os.kill(pid, signal.SIGSTOP)
            over.wait(INGEST_STANDS_S)
            os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=halt)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _Device:
    """One device with all its lives."""

    def __init__(self, services: Services, state: Path, device: str, bundle: Path, wire: _Wire) -> None:
        self._services = services
        self._state = state
        self._device = device
        self._bundle = bundle
        self._wire = wire
        self._outboxes: dict[str, set[Record]] = {"reading": set(), "heard": set()}
        self._died_with: list[int] = []

    def live(self, lives: int, chance: random.Random) -> None:
        """Live and die, and at last end well."""
        for _ in range(lives):
            process = self._start(clips=ROOT / "samples", loop="true")
            time.sleep(chance.uniform(SHORTEST_S, LONGEST_S))
            if process.poll() is not None:
                raise SystemExit(f"the device ended by itself: {self._log().read_text()}")
            process.kill()
            process.wait()
            self._look_into_outbox()
        process = self._start(clips=LAST_CLIP)
        if process.wait(120) != 0 or "wait in the outbox" in self._log().read_text():
            raise SystemExit(f"the last life left something behind: {self._log().read_text()}")

    def verdict(self) -> Verdict:
        """Compare what was seen with what is stored."""
        wire = {kind: self._wire.of(self._device, kind) for kind in self._outboxes}
        readings = self._outboxes["reading"] | set(wire["reading"])
        seen = readings | self._outboxes["heard"] | set(wire["heard"])
        last: dict[str, int] = {}
        for boot, seq in seen:
            last[boot] = max(seq, last.get(boot, 0))
        made = sum(seq + 1 for seq in last.values())
        stored, readings_stored, missing = self._services.kept(self._device)  # the last life has seen to it
        return Verdict(
            kills=len(self._died_with),
            died_with=self._died_with,
            seen=len(seen),
            sent_again=sum(times - 1 for came in wire.values() for times in came.values()),
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
        """Read a copy of the outbox, because opening it would tidy up what the next life shall find."""
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
        self._died_with.append(len(rows))


def _fast_bundle(folder: Path) -> Path:
    """Make a copy of the shipped bundle with more windows."""
    shutil.copytree(models.bundle.find(models.bundle.DEFAULT), folder)
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hop_ms": HOP_MS}))
    return folder


if __name__ == "__main__":
    main()
