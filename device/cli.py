"""Commands `moodwire device run` and `mics`: each takes the settings and returns the exit code."""

import logging
import signal
import sys
import threading
from importlib.metadata import version
from typing import NamedTuple

from broker.messages import Status
from broker.topics import mac_address
from common.notice import NOTICE
from device.audio import portaudio
from device.audio.open_source import open_source
from device.audio.source import Source, SourceError
from device.control.commands import Commands, Desired
from device.control.overrides import Overrides
from device.delivery.outbox import Limits, Outbox, Owner
from device.delivery.outbox_file import OUTBOX, owner_of
from device.delivery.recorder import Recorder
from device.delivery.session import Session
from device.delivery.timestamps import Timestamps
from device.errors import UNUSABLE
from device.health_reporter import HealthReporter
from device.inference.baseline import Baseline
from device.inference.model import load_first_usable
from device.runner import Runner
from device.settings import DeviceSettings
from device.system import identity, memory_lock, resources, threads
from device.system.systemd import SystemdNotifier
from models.bundle import BundleError
from models.runtime import VerifiedModel

log = logging.getLogger(__name__)

DRAIN_S = 15.0
"""How long to wait after the last clip for the server to confirm."""


class _Device(NamedTuple):
    """The parts of a device, ready to run."""

    model: VerifiedModel
    source: Source | None
    """None for a device that starts paused."""
    outbox: Outbox
    session: Session
    runner: Runner
    health_reporter: HealthReporter


def run(settings: DeviceSettings) -> int:
    """Listen, classify and publish until the clips end or a signal comes."""
    memory_lock.lock_memory()
    try:
        device = _assemble(settings)
    except UNUSABLE as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename} cannot be read ({error.strerror}); check who owns state_dir", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread of its own, because a handler interrupts the main thread, which may hold a lock that `stop` needs.
        signal.signal(number, lambda *_: threading.Thread(target=device.runner.stop, name="stop").start())
    died: list[str] = []
    threads.watch(lambda sentence: _end(device.runner, sentence, died))
    log.info(NOTICE)
    device.session.start()
    device.health_reporter.start()
    try:
        device.runner.run(device.model, device.source)
        if settings.clips and not settings.loop:
            device.session.drain(DRAIN_S)
        waiting, _ = device.outbox.waiting()
    except (SourceError, BundleError, OverflowError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        device.health_reporter.stop()
        device.session.stop()
        device.outbox.close()
    if died:
        print(died[0], file=sys.stderr)
        return 1
    if waiting:
        log.info("%d records wait in the outbox for the next start", waiting)
    return 0


def _end(runner: Runner, sentence: str, died: list[str]) -> None:
    """End the process, which systemd starts again, because a thread has died."""
    died.append(sentence)
    runner.stop()


def _assemble(settings: DeviceSettings) -> _Device:
    """Load the model, open source and outbox, and connect the parts; nothing runs yet but the source.

    Raises:
        BundleError, SourceError, OutboxError, ValueError: a setting is not usable; the message says which.
        OSError: the state folder cannot be read.
    """
    overrides = Overrides.load(settings.state_dir)
    model = load_first_usable((overrides.model, overrides.previous_model), settings.model, settings.runtime)
    commands = Commands(settings, overrides, model.bundle.folder)
    source = None if commands.desired.paused else open_source(settings)
    device_id = identity.device_id(settings.identity, settings.state_dir, outbox=owner_of(settings.state_dir))
    outbox = _open_outbox(settings, device_id)
    status = _status(commands.desired, model)
    baseline = Baseline(
        settings.state_dir,
        on=settings.baseline,
        half_life_min=settings.baseline_half_life_min,
        neutral_share=settings.baseline_neutral,
    )
    session = Session(settings, device_id, status, outbox, on_command=commands.put)
    session.on_erased = baseline.forget
    timings = resources.Timings()
    runner = Runner(
        open_source=lambda source_id: open_source(settings, source_id),
        commands=commands,
        recorder=Recorder(outbox, status.boot, model.bundle.manifest),
        session=session,
        systemd=SystemdNotifier(),
        timings=timings,
        baseline=baseline,
        publish_live=session.publish_live if settings.home_assistant else None,
        runtime=settings.runtime,
    )
    health_reporter = HealthReporter(
        outbox,
        session,
        status.boot,
        timings,
        runner.capture_health,
        baseline.health,
        settings.state_dir,
    )
    log.info("device %s (%s) uses model %s", mac_address(device_id), status.name, status.model)
    return _Device(model, source, outbox, session, runner, health_reporter)


def _open_outbox(settings: DeviceSettings, device_id: str) -> Outbox:
    limits = Limits(
        rows=settings.outbox_max_rows,
        payload_bytes=round(settings.outbox_max_mb * 1e6),
        age_s=settings.outbox_max_age_days * 86_400,
    )
    owner = Owner(device_id, identity.machine())
    return Outbox(settings.state_dir / OUTBOX, owner, limits, Timestamps(settings.clock_wait_s))


def _status(desired: Desired, model: VerifiedModel) -> Status:
    """Return the first status of this run of the process."""
    return Status(
        state="paused" if desired.paused else "online",
        boot=identity.new_boot(),
        connection=0,
        name=desired.name,
        labels=model.bundle.manifest.labels,
        model=model.bundle.manifest.name,
        version=version("moodwire"),
        gate_dbfs=desired.gate_dbfs,
        models=desired.models,
        can_roll_back=desired.can_roll_back,
    )


def mics(_settings: DeviceSettings) -> int:
    """List the microphones."""
    try:
        print(portaudio.listing())
    except SourceError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
