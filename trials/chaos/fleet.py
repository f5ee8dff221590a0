"""Devices as processes that can be ended in any way, and what each of them has said of its records."""

import contextlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple

from broker.messages import Range
from device.delivery.row import Kind
from trials.chaos.device_process import Spec, live
from trials.relay import Relay

RECORDS_PER_RUN = 100_000
RUNS_PER_CARD = 100
"""More than one run of a device process makes."""
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["trials.chaos.device_process"])


class Made(NamedTuple):
    """A record of a run."""

    at_s: float
    """When it was made, on the monotonic clock."""
    kind: Kind
    number: int
    """Of the readings or of the `heard` records of its device id."""
    generation: int


class Run:
    """One run of a device process, as its journal tells."""

    def __init__(self) -> None:
        self.boot = ""
        self.made: dict[int, Made] = {}
        """By sequence number, like the others."""
        self.kept: dict[int, bool] = {}
        """Records that the outbox has taken: whether on the disk, or in memory only."""
        self.forfeit: dict[int, str] = {}
        """Records that a fault has destroyed on the device, with its name."""
        self.told: list[tuple[float, str, str, tuple[Range, ...]]] = []
        """When, of which boot, outcome, and which: of this run and of earlier ones whose records it sent."""
        self.refusals: list[str] = []
        self.waits: int | None = None
        self.dropped = 0
        self.log: list[str] = []
        self.ended = False


class Device:
    """A device with all its runs, behind a relay of its own.

    Args:
        name: Its id.
        check: Lies in each of its readings.
        folder: Its card; made.
        broker_port: Where its relay leads.
        per_s: Readings a second.
    """

    def __init__(self, name: str, check: int, folder: Path, broker_port: int, per_s: float) -> None:
        self.name = name
        self.check = check
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.network = Relay(("127.0.0.1", broker_port), dice=random.Random(check))
        self.per_s = per_s
        self.machine = frozenset({f"serial:{name}"})
        self.runs: list[Run] = []
        self.clock_wait_s = 0.0
        self.offset_ms, self.synced = 0, True
        self.model = "ang-hap-neu"
        self.expects: set[str] = set()
        """Outcomes other than `stored` that a fault has given cause for."""
        self._boots = 0
        self._first = 0
        self._started: ForkServerProcess | None = None

    @property
    def run(self) -> Run:
        """Return the present run."""
        return self.runs[-1]

    @property
    def _process(self) -> ForkServerProcess:
        assert self._started is not None, f"{self.name} was never started"
        return self._started

    @property
    def pid(self) -> int:
        """Return the id of its process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Return whether its process lives."""
        return self._process.is_alive()

    def start(self, *, reboot: bool = False) -> None:
        """Start its process.

        Args:
            reboot: The machine has started anew too.
        """
        self._boots += reboot
        run = Run()
        reader, pipe = _context.Pipe(duplex=False)
        control, self._control = _context.Pipe(duplex=False)
        spec = Spec(
            device=self.name,
            check=self.check,
            first=self._first + len(self.runs) * RECORDS_PER_RUN,
            folder=self.folder,
            mqtt_port=self.network.port,
            per_s=self.per_s,
            machine=self.machine,
            kernel_boot=f"{self.name}-{self._boots}",
            model=self.model,
            offset_ms=self.offset_ms,
            synced=self.synced,
            clock_wait_s=self.clock_wait_s,
        )
        self._started = _context.Process(target=live, args=(spec, pipe, control), daemon=True)
        self._process.start()
        pipe.close()
        control.close()
        self._reader = threading.Thread(target=_read, args=(reader, run), daemon=True)
        self._reader.start()
        self.runs.append(run)

    def kill(self) -> None:
        """End its process with SIGKILL; records that were in memory only are gone with it."""
        self._process.kill()
        self._process.join()
        self._reader.join()
        self._forfeit("in memory only", [self.run], lambda run, seq: not run.kept[seq])

    def tell(self, *words: Any) -> None:
        """Tell the process what to do; one that is gone does not hear it."""
        with contextlib.suppress(OSError):
            self._control.send(words)

    def set_clock(self, offset_ms: int, *, synced: bool) -> None:
        """Set the machine's clock, for this run and those that follow."""
        self.offset_ms, self.synced = offset_ms, synced
        self.tell("clock", offset_ms, synced)

    @contextmanager
    def halted(self) -> Iterator[None]:
        """Stop its process without ending it."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    @contextmanager
    def writing_nothing(self) -> Iterator[None]:
        """Let no file of its process grow: each write fails as on a full disk."""
        pid = self.pid
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, most))
        try:
            yield
        finally:
            if self.is_running and self.pid == pid:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))

    def forfeit(self, cause: str) -> None:
        """Note that a fault has destroyed what lies in the outbox: all that no server has confirmed."""
        self._forfeit(cause, self.runs, lambda _run, _seq: True)

    def clone(self, name: str, check: int, folder: Path, broker_port: int, number: int) -> "Device":
        """Return a device with a copy of this one's card, not started; `number` tells the copies of a card apart."""
        shutil.copytree(self.folder, folder)
        twin = Device(name, check, folder, broker_port, self.per_s)
        twin._first = RECORDS_PER_RUN * RUNS_PER_CARD * number
        return twin

    def end(self, timeout_s: float = 30.0) -> None:
        """Let its process end by itself."""
        self.tell("end")
        self._process.join(timeout_s)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._reader.join()

    def close(self) -> None:
        """End its process at once, and its network."""
        if self._started and self._started.is_alive():
            self._process.kill()
            self._process.join()
        self.network.close()

    def _forfeit(self, cause: str, runs: list[Run], lost: Any) -> None:
        told = {
            (boot, seq)
            for run in self.runs
            for _, boot, _, ranges in list(run.told)
            for first, last in ranges
            for seq in range(first, last + 1)
        }
        for run in runs:
            for seq in run.made:
                if (run.boot, seq) not in told and (seq not in run.kept or lost(run, seq)):
                    run.forfeit[seq] = cause


def _read(pipe: Connection, run: Run) -> None:
    """Read a journal until its process ends."""
    with pipe:
        while True:
            try:
                what, at_s, *facts = pipe.recv()
            except (EOFError, OSError):
                return
            _enter(run, what, at_s, facts)


def _enter(run: Run, what: str, at_s: float, facts: list[Any]) -> None:
    if what == "made":
        seq, *others = facts
        run.made[seq] = Made(at_s, *others)
    elif what == "kept":
        run.kept[facts[0]] = facts[1]
    elif what == "told":
        boot, stored, expired, erased, refused = facts
        outcomes = {"stored": stored, "expired": expired, "erased": erased}
        outcomes["refused"] = tuple((first, last) for first, last, _ in refused)
        run.told += [(at_s, boot, outcome, ranges) for outcome, ranges in outcomes.items() if ranges]
        run.refusals += [reason for *_, reason in refused]
    elif what == "waits":
        run.waits, run.dropped = facts
    elif what == "log":
        run.log.append(f"{at_s:.3f} {facts[0]}")
    elif what == "born":
        run.boot = facts[0]
    elif what == "ended":
        run.dropped, run.ended = facts[0], True
