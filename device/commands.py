"""What `moodwire device …` does; each function takes the settings and returns the exit code."""

import logging
import signal
import sys
from importlib.metadata import version
from pathlib import Path

import device.kept
from broker.messages import Status
from broker.notice import NOTICE
from broker.topics import mac_address
from device import health, identity, memory, microphone
from device.clips import Clips
from device.dating import Dating
from device.link import Link
from device.monitor import Monitor
from device.notify import Notify
from device.orders import Orders, usable_model
from device.outbox import Limits, Outbox, OutboxError, Owner
from device.recorder import Recorder
from device.run import Run
from device.settings import DeviceSettings
from device.sound import Source, SourceError
from models.bundle import BundleError

log = logging.getLogger(__name__)

DRAIN_S = 15.0
"""After the last clip, how long to wait for the server to confirm."""
UNUSABLE = (BundleError, SourceError, OutboxError, ValueError)
"""What ends a command with one sentence and exit code 2."""


def run(settings: DeviceSettings) -> int:
    """Listen, classify and publish until the clips end or a signal comes."""
    memory.keep_out_of_swap()
    try:
        kept = device.kept.load(settings.state_dir)
        usable = usable_model(settings, kept)
        orders = Orders(settings, kept, usable.bundle.folder)
        desired = orders.desired
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
            Dating(settings.clock_wait_s),
        )
        status = Status(
            state="paused" if desired.paused else "online",
            boot=identity.new_boot(),
            connection=0,
            name=desired.name,
            labels=usable.bundle.manifest.labels,
            model=usable.bundle.manifest.name,
            version=version("moodwire"),
        )
        link = Link(settings, device_id, status, outbox, on_command=orders.put)
    except UNUSABLE as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename} cannot be read ({error.strerror}); is state_dir another user's?", file=sys.stderr)
        return 2
    timings = health.Timings()
    recorder = Recorder(outbox, status.boot, usable.bundle.manifest)
    life = Run(lambda again: open_source(settings, again), orders, recorder, link, Notify(), timings)
    monitor = Monitor(outbox, link, status.boot, timings, life.hearing, settings.state_dir)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: life.stop())
    log.info("device %s (%s) uses model %s", mac_address(device_id), desired.name, status.model)
    log.info(NOTICE)
    link.start()
    monitor.start()
    try:
        life.run(usable, source)
        waiting = link.drain(DRAIN_S) if settings.clips and not settings.loop else outbox.waiting()[0]
    except (SourceError, BundleError, OverflowError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        monitor.stop()
        link.stop()
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


def open_source(settings: DeviceSettings, again: str | None = None) -> Source:
    """Open what the settings say shall be listened to, or the microphone with an id that was open before.

    Raises:
        SourceError: it is not there or cannot be used.
    """
    if settings.clips:
        return Clips(Path(settings.clips), loop=settings.loop)
    return microphone.Microphone(again or settings.mic)
