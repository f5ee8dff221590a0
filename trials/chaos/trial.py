"""Runs schedules: starts what they need, lets the faults strike, waits until all is confirmed, and reconciles."""

import random
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from trials.chaos.fleet import Device
from trials.chaos.plan import AFTER_S, Schedule, Step
from trials.chaos.reconcile import Count, reconcile
from trials.chaos.registry import FAULTS
from trials.chaos.services import Services
from trials.chaos.world import NotHereError, Strike, World
from trials.processes import wait_until

DRAIN_S = 180.0
"""How long everything may take to be confirmed after the faults."""
IDS = 1_000
"""Device ids with an account at the broker; each is used once."""
_SPARE = 4
"""Ids beside those of the devices, for faults that need another one."""
_SAMPLE_S = 0.25


class Happening(NamedTuple):
    """A fault that has happened; times in seconds from the start of the schedule."""

    fault: str
    start_s: float
    end_s: float


@dataclass
class Result:
    """What came of one schedule."""

    schedule: Schedule
    count: Count
    happenings: list[Happening] = field(default_factory=list)
    not_here: dict[str, str] = field(default_factory=dict)
    """Faults that this machine cannot make, and what it takes."""
    waiting: list[tuple[float, int]] = field(default_factory=list)
    """Unconfirmed records over time, (seconds from the start, records)."""
    took_s: float = 0.0


class Trial:
    """Runs schedules one after the other; those with the same kind of store share their services.

    Args:
        folder: Empty; holds everything.
        library: What `shim.build` gave.
    """

    def __init__(self, folder: Path, library: Path | None) -> None:
        self._folder = folder
        self._library = library
        self._services: Services | None = None
        self._made = 0
        self._ids: list[str] = []

    def run(self, schedule: Schedule) -> Result:
        """Run one schedule."""
        services = self._services_for(schedule)
        taken, self._ids = self._ids[: schedule.devices + _SPARE], self._ids[schedule.devices + _SPARE :]
        names, spare = taken[: schedule.devices], taken[schedule.devices :]
        devices = [
            Device(
                name,
                number + 1,
                services.folder / "devices" / name,
                services.broker_port,
                schedule.per_s,
            )
            for number, name in enumerate(names)
        ]
        world = World(services, devices, spare)
        result = _Run(schedule, world).result()
        if not result.count.is_right:
            self.close()  # what is wrong may outlast the schedule
        return result

    def close(self) -> None:
        """End everything."""
        if self._services:
            self._services.close()
            self._services = None

    def _services_for(self, schedule: Schedule) -> Services:
        if self._services and (self._services.valkey != schedule.valkey or len(self._ids) < schedule.devices + _SPARE):
            self.close()
        if self._services is None:
            self._made += 1
            self._ids = [f"02{number:010x}" for number in range(1, IDS + 1)]
            folder = self._folder / str(self._made)
            self._services = Services(folder, self._ids, self._library, valkey=schedule.valkey)
            self._services.wait_ready()
        return self._services


class _Run:
    """One schedule as it runs."""

    def __init__(self, schedule: Schedule, world: World) -> None:
        self._schedule = schedule
        self._world = world
        self._result = Result(schedule, Count())
        self._places: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._start_s = 0.0
        self._over = threading.Event()
        self._wrong: list[str] = []

    def result(self) -> Result:
        """Run it."""
        world, result = self._world, self._result
        try:
            for device in world.devices:
                device.start()
            wait_until(
                lambda: all(device.run.told for device in world.devices),
                f"the first record of each device is confirmed; the logs are in {world.services.folder}",
            )
            self._start_s = time.monotonic()
            with self._sampling():
                with ThreadPoolExecutor(max(1, len(self._schedule.step))) as pool:
                    strikes = {step: pool.submit(self._strike, step) for step in self._schedule.step}
                for step, done in strikes.items():
                    if error := done.exception():
                        self._wrong.append(f"{step.fault} could not be done: {error!r}")
                faults_over_s = time.monotonic()
                self._wait_ready()
                time.sleep(max(AFTER_S, self._start_s + self._schedule.for_s - time.monotonic()))
                for device in world.everyone():
                    device.tell("silence")
                waiting = self._drain()
            self._wrong += [*self._stuck(), *([] if waiting else self._wrong_states())]
            for device in world.everyone():
                device.end()
        finally:
            for device in world.everyone():
                device.close()
        result.count = reconcile(world.services.kept, world.everyone(), faults_over_s)
        result.count.wrong += self._wrong
        for device in world.everyone():
            shutil.rmtree(device.folder, ignore_errors=True)
        result.took_s = time.monotonic() - self._start_s
        return result

    def _strike(self, step: Step) -> None:
        """Let one fault happen, once what it strikes is free."""
        fault = FAULTS[step.fault]
        dice = random.Random(f"{self._schedule.seed} {step}")
        device = self._world.devices[step.device]
        time.sleep(max(0.0, self._start_s + step.at_s - time.monotonic()))
        place = f"{fault.where} {step.device}" if fault.where.startswith("device") else fault.where
        with self._places[place]:
            start_s = time.monotonic() - self._start_s
            try:
                fault.act(Strike(self._world, device, step.for_s, dice))
            except NotHereError as error:
                self._result.not_here[fault.name] = str(error)
            end_s = time.monotonic() - self._start_s
        self._result.happenings.append(Happening(fault.name, round(start_s, 2), round(end_s, 2)))

    def _wait_ready(self) -> None:
        """Wait until all services are back."""
        deadline_s = time.monotonic() + DRAIN_S
        while not self._world.services.is_ready():
            if time.monotonic() > deadline_s:
                self._wrong.append(f"store, ingest or REST is not ready {DRAIN_S:.0f} s after the faults")
                return
            time.sleep(0.1)

    def _drain(self) -> int:
        """Wait until no record waits in any outbox, and return how many do at last."""
        deadline_s = time.monotonic() + DRAIN_S
        waiting = 1
        while waiting and time.monotonic() < deadline_s:
            time.sleep(0.1)
            waiting = sum(self._waits(device) for device in self._world.everyone())
        return waiting

    def _waits(self, device: Device) -> int:
        """Return how many records wait; 1 while nobody knows."""
        return 1 if device.run.waits is None else device.run.waits

    def _stuck(self) -> list[str]:
        """Return what is wrong with devices that have not sent all, or have ended."""
        found = []
        for device in self._world.everyone():
            if not device.is_running:
                found.append(f"the process of {device.name} has ended: {device.run.log[-3:]}")
            elif count := self._waits(device):
                found.append(f"{count} records of {device.name} wait {DRAIN_S:.0f} s after the faults")
        return found

    def _wrong_states(self) -> list[str]:
        """Return which devices are online and shown as something else."""
        found = []
        for device in self._world.devices:
            shown = self._world.services.get(f"/devices/{device.name}")
            if shown and shown["state"] != "online":
                found.append(f"{device.name} is online, and REST shows it as {shown['state']}")
        return found

    @contextmanager
    def _sampling(self) -> Iterator[None]:
        """Note how many records wait, a few times a second."""

        def sample() -> None:
            while not self._over.wait(_SAMPLE_S):
                waiting = sum(device.run.waits or 0 for device in self._world.everyone())
                self._result.waiting.append((round(time.monotonic() - self._start_s, 2), waiting))

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
