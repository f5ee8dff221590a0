"""One device in a process of its own: outbox, recorder and session are real, what it hears is made up.

It writes a journal into a pipe, which outlives kill -9: each record before it is kept and after, and each confirmation
before the outbox forgets the record. Numbers lie in the scores of readings, and in what `heard` records count, so that
each record can be told from all others.
"""

import contextlib
import logging
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import models.bundle
from broker.messages import Heard, Reading, Status, Stored, WireError, decode
from device.delivery import outbox_tiers
from device.delivery.outbox import Limits, Outbox, Owner
from device.delivery.outbox_file import OUTBOX
from device.delivery.recorder import Recorder
from device.delivery.row import Row
from device.delivery.session import Session
from device.delivery.timestamps import Timestamps
from device.inference.pipeline import Window
from device.settings import DeviceSettings
from device.system import clock, identity
from models.bundle import Manifest
from trials.processes import PASSWORD

DISK_AGAIN_MS = 2_000
"""How long the outbox leaves a disk alone that failed: a minute in earnest, too long for a trial."""
HEARD_EVERY_S = 1.0
TELL_EVERY_S = 0.1
UNIT = 10_000
"""A score keeps four digits, and so does the share of samples at full scale."""
_CHECKS = 1_000
"""What a `heard` record counts as dropped keeps seven digits: these, and four of the number."""
MODELS = ("ang-hap-neu", "six")
"""Bundles that devices switch between; their labels stand in alphabetical order, as the store keeps them."""

Entry = tuple[Any, ...]
"""Of the journal: what happened, when (seconds of the monotonic clock), and the facts."""


class Spec(NamedTuple):
    """What a device process is started with."""

    device: str
    check: int
    """Lies in each reading, so that one that is stored under another device is found."""
    first: int
    """Number of its first reading, and of its first `heard` record."""
    folder: Path
    mqtt_port: int
    per_s: float
    machine: frozenset[str]
    kernel_boot: str
    model: str
    offset_ms: int
    """How far its clock is ahead."""
    synced: bool
    clock_wait_s: float


class DeviceClock:
    """The machine's clock as the trial lets the device see it (`device.system.clock.Clock`)."""

    def __init__(self, spec: Spec) -> None:
        self.offset_ms = spec.offset_ms
        self.is_synced = spec.synced
        self._kernel_boot = spec.kernel_boot

    def now_ms(self) -> int:
        """Return Unix milliseconds."""
        return clock.now_ms() + self.offset_ms

    def monotonic_ms(self) -> int:
        """Return milliseconds that nobody can set."""
        return clock.monotonic_ms()

    def synced(self) -> bool:
        """Return whether the Unix time counts as synchronised."""
        return self.is_synced

    def kernel_boot(self) -> str:
        """Return the id of this start of the machine."""
        return self._kernel_boot


class Journal:
    """Writes entries into a pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def write(self, what: str, *facts: object) -> None:
        """Write one entry, in one piece."""
        self._pipe.send((what, time.monotonic(), *facts))


class JournallingOutbox(Outbox):
    """An outbox that enters what goes in."""

    journal: Journal

    def put(self, row: Row) -> None:
        """Keep a record."""
        if row.kind == "reading":
            number = number_of(decode(row.payload, Reading))
        else:
            heard = decode(row.payload, Heard)
            number, _ = heard_mark(heard.dropped, heard.clipping)
        self.journal.write("made", row.seq, row.kind, number, self.generation)
        super().put(row)
        self.journal.write("kept", row.seq, self.state == "ok")


class JournallingSession(Session):
    """A session that enters what the server confirms."""

    journal: Journal

    def on_message(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Take a message."""
        if topic.endswith("/stored") and not retained:
            try:
                told = decode(payload, Stored)
            except WireError:
                pass  # the session says so
            else:
                self.journal.write("told", told.boot, told.stored, told.expired, told.erased, told.refused)
        super().on_message(topic, payload, retained=retained)


class _JournalHandler(logging.Handler):
    """Enters what the device logs: its disk may be full."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Enter one line."""
        self._journal.write("log", f"{record.levelname} {record.name}: {record.getMessage()}")


def scores(number: int, check: int, labels: tuple[str, ...]) -> tuple[float, ...]:
    """Return scores that hold a reading's number and its device's check, in the order of sorted labels."""
    return (number // UNIT / UNIT, number % UNIT / UNIT, check / UNIT, *[0.0] * (len(labels) - 3))


def number_of(reading: Reading) -> int:
    """Return the number that a reading's scores hold."""
    high, low, *_ = (round(reading.scores[label] * UNIT) for label in sorted(reading.scores))
    return high * UNIT + low


def heard_facts(number: int, check: int) -> tuple[int, float]:
    """Return dropped blocks and clipping that hold a `heard` record's number and its device's check."""
    return check % _CHECKS * UNIT + number % UNIT, number // UNIT / UNIT


def heard_mark(dropped: int, clipping: float) -> tuple[int, int]:
    """Return the number and the check that a `heard` record holds."""
    return round(clipping * UNIT) * UNIT + dropped % UNIT, dropped // UNIT


def is_check(mark: int, check: int) -> bool:
    """Return whether a `heard` record's check is that of a device."""
    return mark == check % _CHECKS


class Voice:
    """Makes readings one after the other, and `heard` records between them."""

    def __init__(self, recorder: Recorder, spec: Spec, manifest: Manifest) -> None:
        self._recorder = recorder
        self._next = self._next_heard = spec.first
        self._check = spec.check
        self._labels = manifest.labels
        self._heard_s = time.monotonic()

    def use(self, manifest: Manifest) -> None:
        """Go on with another model."""
        self._recorder.use(manifest)
        self._labels = manifest.labels

    def speak(self) -> None:
        """Make one reading."""
        end_ms = clock.monotonic_ms()
        held = np.array(scores(self._next, self._check, self._labels), np.float64)
        self._next += 1
        _, clipping = heard_facts(self._next_heard, self._check)
        self._recorder.add(Window(end_ms, "speech", held, held, self._labels[0], -20.0, clipping, 20.0), 0)
        if time.monotonic() > self._heard_s + HEARD_EVERY_S:
            self._heard_s = time.monotonic()
            self.close_minute()

    def close_minute(self) -> None:
        """Record what was heard."""
        dropped, _ = heard_facts(self._next_heard, self._check)
        self._next_heard += 1
        self._recorder.close_minute(clock.monotonic_ms(), dropped)


class _Life:
    """The parts of a running device."""

    def __init__(self, spec: Spec, journal: Journal) -> None:
        boot = identity.new_boot()
        journal.write("born", boot)
        self._manifests = {name: models.bundle.load(models.bundle.find(name)).manifest for name in MODELS}
        manifest = self._manifests[spec.model]
        self._journal = journal
        self._clock = DeviceClock(spec)
        owner, limits = Owner(spec.device, spec.machine), Limits(10**6, 10**9, 30 * 86_400)
        timestamps = Timestamps(spec.clock_wait_s, self._clock)
        self._outbox = JournallingOutbox(spec.folder / OUTBOX, owner, limits, timestamps)
        self._outbox.journal = journal
        url = f"mqtt://127.0.0.1:{spec.mqtt_port}"
        settings = DeviceSettings(mqtt_url=url, mqtt_password=PASSWORD, state_dir=spec.folder)
        status = Status(
            state="online",
            boot=boot,
            connection=0,
            name=spec.device,
            labels=manifest.labels,
            model=manifest.name,
            version="trial",
        )
        self._session = JournallingSession(settings, spec.device, status, self._outbox, lambda _name, _payload: None)
        self._session.journal = journal
        self._voice = Voice(Recorder(self._outbox, boot, manifest), spec, manifest)
        self._pause_s = 1 / spec.per_s
        self._silent = False

    def run(self, control: Connection) -> None:
        """Speak and obey until told to end."""
        self._session.start()
        next_s = told_s = time.monotonic()
        while True:
            if control.poll(max(0.0, next_s - time.monotonic())):
                what, *values = control.recv()
                if what == "end":
                    break
                self._obey(what, values)
                continue
            next_s = max(next_s + self._pause_s, time.monotonic() - 1)
            if not self._silent:
                self._voice.speak()
                self._session.notify()
            if time.monotonic() >= told_s:
                told_s = time.monotonic() + TELL_EVERY_S
                self._journal.write("waits", self._outbox.waiting()[0], self._outbox.dropped)
        self._session.stop()
        self._outbox.close()
        self._journal.write("ended", self._outbox.dropped)

    def _obey(self, what: str, values: list[Any]) -> None:
        if what == "silence":
            self._silent = True
            self._voice.close_minute()
            self._session.notify()
        elif what == "clock":
            self._clock.offset_ms, self._clock.is_synced = values
        elif what == "rate":
            self._pause_s = 1 / values[0]
        elif what == "model":
            manifest = self._manifests[values[0]]
            self._voice.use(manifest)
            self._session.set_status(labels=manifest.labels, model=manifest.name)


def live(spec: Spec, pipe: Connection, control: Connection) -> None:
    """Live until told to end, or until the trial is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    outbox_tiers.RETRY_MS = DISK_AGAIN_MS
    journal = Journal(pipe)
    logging.basicConfig(level=logging.INFO, handlers=[_JournalHandler(journal)], force=True)
    with contextlib.suppress(EOFError, BrokenPipeError):  # the trial is gone
        _Life(spec, journal).run(control)
