"""What `moodwire device …` does; each function takes the settings and returns the exit code."""

import logging
import signal
import sys
from importlib.metadata import version

from broker.messages import Status
from broker.topics import mac_address
from common.notice import NOTICE
from device.audio import microphone
from device.audio.open_source import open_source
from device.audio.source import SourceError
from device.control.commands import Commands
from device.control.overrides import Overrides
from device.delivery.outbox import Limits, Outbox, Owner
from device.delivery.recorder import Recorder
from device.delivery.session import Session
from device.delivery.timestamps import Timestamps
from device.errors import UNUSABLE
from device.health_reporter import HealthReporter
from device.inference.model import load_first_usable
from device.runner import Runner
from device.settings import DeviceSettings
from device.system import identity, memory_lock, resources
from device.system.systemd import SystemdNotifier
from models.bundle import BundleError

log = logging.getLogger(__name__)

DRAIN_S = 15.0
"""After the last clip, how long to wait for the server to confirm."""


def run(settings: DeviceSettings) -> int:
    """Listen, classify and publish until the clips end or a signal comes."""
    memory_lock.keep_out_of_swap()
    try:
        overrides = Overrides.load(settings.state_dir)
        model = load_first_usable((overrides.model, overrides.previous_model), settings.model)
        commands = Commands(settings, overrides, model.bundle.folder)
        desired = commands.desired
        source = None if desired.paused else open_source(settings)
        device_id = identity.device_id(settings.identity, settings.state_dir)
        outbox = Outbox(
            settings.state_dir / "outbox.sqlite",
            Owner(device_id, identity.machine()),
            Limits(
                rows=settings.outbox_max_rows,
                payload_bytes=round(settings.outbox_max_mb * 1e6),
                age_s=settings.outbox_max_age_days * 86_400,
            ),
            Timestamps(settings.clock_wait_s),
        )
        status = Status(
            state="paused" if desired.paused else "online",
            boot=identity.new_boot(),
            connection=0,
            name=desired.name,
            labels=model.bundle.manifest.labels,
            model=model.bundle.manifest.name,
            version=version("moodwire"),
        )
        session = Session(settings, device_id, status, outbox, on_command=commands.put)
    except UNUSABLE as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename} cannot be read ({error.strerror}); is state_dir another user's?", file=sys.stderr)
        return 2
    timings = resources.Timings()
    recorder = Recorder(outbox, status.boot, model.bundle.manifest)
    runner = Runner(lambda again: open_source(settings, again), commands, recorder, session, SystemdNotifier(), timings)
    health_reporter = HealthReporter(outbox, session, status.boot, timings, runner.hearing, settings.state_dir)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: runner.stop())
    log.info("device %s (%s) uses model %s", mac_address(device_id), desired.name, status.model)
    log.info(NOTICE)
    session.start()
    health_reporter.start()
    try:
        runner.run(model, source)
        waiting = session.drain(DRAIN_S) if settings.clips and not settings.loop else outbox.waiting()[0]
    except (SourceError, BundleError, OverflowError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        health_reporter.stop()
        session.stop()
        outbox.close()
    if waiting:
        log.info("%d records wait in the outbox for the next start", waiting)
    return 0


def mics(_settings: DeviceSettings) -> int:
    """List the microphones."""
    try:
        print(microphone.listing())
    except SourceError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
