"""What the trial of the dashboard looks at: devices in a store, and the services and pages over them."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from broker.messages import Status
from server.store.redis_store import RedisStore
from trials import load
from trials.processes import free_port, running, running_store, wait_until
from trials.services import TOKEN, answers, environment

DAY_MS = 86_400_000
DAYS = 30
KEY = "key-of-the-trial"
_BATCH = 2_000
Processes = Mapping[str, subprocess.Popen[bytes]]


class Fleet:
    """Devices whose readings go into the store and its live stream."""

    def __init__(self, url: str) -> None:
        self._store = RedisStore(url, 90 * DAY_MS, 730 * DAY_MS)
        self._store.prepare()
        self._store.heartbeat(86_400)
        self._live_stream = self._store.live_stream
        self._lock = threading.Lock()
        self._seq = 0
        self.ids: list[str] = []

    def fill(self, readings: int) -> None:
        """Let the first device have so many readings over thirty days."""
        self._meet(1)
        now, (device,) = self._store.now(), self.ids
        every_ms = DAYS * DAY_MS // readings
        waiting: Callable[[], Any] | None = None
        for first in range(0, readings, _BATCH):
            seqs = range(first, min(first + _BATCH, readings))
            sent = self._store.send([(device, load.reading(1, seq, now - (readings - seq) * every_ms)) for seq in seqs])
            if waiting:
                waiting()
            waiting = sent
        if waiting:
            waiting()
        self._seq = readings

    def grow(self, count: int) -> None:
        """Let there be so many devices, each new one with an hour of readings."""
        known, now = len(self.ids), self._store.now()
        self._meet(count)
        for device in self.ids[known:]:
            past = [(device, load.reading(2, seq, now - 3_600_000 + seq * 36_000)) for seq in range(100)]
            self._store.write(past)

    def speak(self, *devices: str) -> None:
        """Store and publish a reading of each device as of now."""
        with self._lock:
            now = self._store.now()
            readings = [(device, load.reading(1, self._seq, now)) for device in devices]
            self._store.write(readings)
            self._live_stream.add(readings)
            self._live_stream.flush()
            self._seq += 1

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Let all devices speak once a second while the context lasts."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(max(0.0, 1 - time.time() % 1)):
                self.speak(*self.ids)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _meet(self, count: int) -> None:
        for device in load.devices(count)[len(self.ids) :]:
            facts = {"state": "online", "boot": load.boot(1), "connection": 1, "name": f"Room {device[-3:]}"}
            told = Status(**facts, labels=("ANG", "HAP", "NEU"), model="ang-hap-neu-1", version="0")  # type: ignore[arg-type]
            self._store.write([(device, told)])
            self.ids.append(device)


@contextmanager
def services(folder: Path, old: Path | None) -> Iterator[tuple[Fleet, dict[str, str], Processes]]:
    """Run everything; yield the devices, the address of each page, and the processes of the new page by name.

    Args:
        folder: For the store and logs.
        old: Work tree of the old page; None without it.
    """
    api, live = free_port(), free_port()
    ports = {"new": free_port()} | ({"old": free_port()} if old else {})
    with running_store(folder / "store") as store:
        fleet = Fleet(store.url)
        access = {"redis_url": store.url, "viewer_token": TOKEN, "operator_token": f"o{TOKEN}"}
        urls = {"api_url": f"http://127.0.0.1:{api}", "live_url": f"http://127.0.0.1:{live}"}
        shown = {
            name: environment(**urls, api_token=TOKEN, dashboard_key=KEY, dashboard_port=port)
            for name, port in ports.items()
        }
        here = [sys.executable, "-m", "moodwire"]
        with (
            running([*here, "server", "run"], folder / "rest.log", environment(**access, api_port=api)) as rest,
            running([*here, "server", "live"], folder / "live.log", environment(**access, live_port=live)) as telling,
            running([*here, "dashboard"], folder / "new.log", shown["new"]) as page,
            _old_page(old, folder / "old.log", shown.get("old", {})),
        ):
            for port in (api, live, *ports.values()):
                there = partial(answers, f"http://127.0.0.1:{port}/livez")
                wait_until(there, f"port {port} answers; see {folder}", 0.2)
            addresses = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
            yield fleet, addresses, {"dashboard": page, "live events": telling, "REST": rest}


@contextmanager
def _old_page(folder: Path | None, log: Path, settings: dict[str, str]) -> Iterator[None]:
    """Run the old page from its work tree, with its own Python if there is one in `.venv`."""
    if folder is None:
        yield
        return
    python = folder / ".venv" / "bin" / "python"
    started = [str(python) if python.exists() else sys.executable, str(folder / "moodwire.py"), "dashboard"]
    with running(started, log, settings | {"PYTHONPATH": str(folder)}):
        yield
