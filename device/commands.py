"""What `moodwire device …` does; each function takes the settings and returns the exit code."""

import logging
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import models.bundle
from broker.messages import Health, Status
from broker.notice import NOTICE
from broker.topics import CommandName, mac_address
from device import clock, health, identity, microphone
from device.clips import Clips
from device.dating import Dating
from device.link import Link
from device.outbox import Limits, Outbox, OutboxError, Owner
from device.pipeline import Classify, Window, windows
from device.recorder import Recorder
from device.settings import DeviceSettings
from device.sound import Block, Source, SourceError
from models.bundle import BundleError
from models.frontend import Frames
from models.runtime import Classifier, Scores

log = logging.getLogger(__name__)

HEALTH_S = 60.0
DRAIN_S = 15.0
"""After the last clip, how long to wait for the server to confirm."""
UNUSABLE = (BundleError, SourceError, OutboxError, ValueError)
"""What ends a command with one sentence and exit code 2."""


def run(settings: DeviceSettings) -> int:
    """Listen, classify and publish until the clips end or a signal comes."""
    try:
        device = identity.device_id(settings.identity, settings.state_dir)
        bundle = models.bundle.load(models.bundle.find(settings.model))
        classifier = Classifier(bundle)
        classifier.verify()
        source = open_source(settings)
        outbox = Outbox(
            settings.state_dir / "outbox.sqlite",
            Owner(device, identity.machine()),
            Limits(
                settings.outbox_max_rows,
                payload_bytes=round(settings.outbox_max_mb * 1e6),
                age_s=settings.outbox_max_age_days * 86_400,
            ),
            Dating(settings.clock_wait_s),
        )
        status = Status(
            state="online",
            boot=identity.new_boot(),
            connection=0,
            name=settings.name,
            labels=bundle.manifest.labels,
            model=bundle.manifest.name,
            version=version("moodwire"),
        )
        link = Link(settings, device, status, outbox, on_command=_not_yet)
    except UNUSABLE as error:
        print(error, file=sys.stderr)
        return 2
    log.info("device %s (%s) hears %s with model %s", mac_address(device), settings.name, source.name, status.model)
    log.info(NOTICE)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: source.close())
    timings = health.Timings()
    heard = windows(_blocks(source), bundle.manifest, _timed(classifier, timings), settings.gate_dbfs)
    link.start()
    try:
        _listen(
            heard,
            source,
            Recorder(outbox, status.boot, bundle.manifest),
            link,
            _Monitor(source, outbox, link, status.boot, timings),
        )
        waiting = link.drain(DRAIN_S) if settings.clips and not settings.loop else outbox.waiting()[0]
    finally:
        source.close()
        link.stop()
        outbox.close()
    if waiting:
        log.info("%d records wait in the outbox for the next start", waiting)
    return 0


def _not_yet(name: CommandName, _payload: bytes) -> None:
    log.warning("the command %s is not carried out by this version", name)


def mics(_settings: DeviceSettings) -> int:
    """List the microphones."""
    try:
        print(microphone.listing())
    except SourceError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def open_source(settings: DeviceSettings) -> Source:
    """Open what the settings say shall be listened to.

    Raises:
        SourceError: it is not there or cannot be used.
    """
    if settings.clips:
        return Clips(Path(settings.clips), loop=settings.loop)
    return microphone.Microphone(settings.mic)


def _timed(classifier: Classifier, timings: health.Timings) -> Classify:
    def classify(frames: Frames) -> Scores:
        start_s = time.perf_counter()
        scores = classifier.scores(frames)
        timings.add((time.perf_counter() - start_s) * 1000)
        return scores

    return classify


def _listen(heard: Iterator[Window], source: Source, recorder: Recorder, link: Link, monitor: "_Monitor") -> None:
    last: Window | None = None
    first_reading = True
    for last in heard:
        reading = None
        with _unwritable_is_said():
            reading = recorder.add(last, source.dropped_blocks)
            monitor.tick()
        if reading and first_reading:
            first_reading = False
            log.info(
                "first reading %.1f s after start; resident memory %.0f MB",
                health.process_age_s() or float("nan"),
                health.rss_bytes() / 1e6,
            )
        if reading:
            link.notify()
    if last:
        with _unwritable_is_said():
            recorder.close_minute(last.end_ms, source.dropped_blocks)
        link.notify()


@contextmanager
def _unwritable_is_said() -> Iterator[None]:
    """Let the device listen on when its disk is full or broken."""
    try:
        yield
    except sqlite3.Error as error:
        log.error("the outbox cannot be written, so what was just heard is lost: %s", error)  # noqa: TRY400 - no traceback at a user


def _blocks(source: Source) -> Iterator[Block]:
    while (block := source.read()) is not None:
        yield block


class _Monitor:
    """Publishes the device's health, and lets the outbox drop what is too old, once a minute."""

    def __init__(self, source: Source, outbox: Outbox, link: Link, boot: str, timings: health.Timings) -> None:
        self._source = source
        self._outbox = outbox
        self._link = link
        self._boot = boot
        self._timings = timings
        self._cpu = health.CpuMeter()
        self._next_s = time.monotonic() + HEALTH_S

    def tick(self) -> None:
        """Do the minute's work when it is time."""
        if time.monotonic() < self._next_s:
            return
        self._next_s += HEALTH_S
        self._outbox.drop_old()
        rows, age_s = self._outbox.waiting()
        self._link.publish_health(
            Health(
                boot=self._boot,
                inference_p50_ms=round(self._timings.percentile_ms(50), 3),
                inference_p95_ms=round(self._timings.percentile_ms(95), 3),
                cpu_ratio=round(self._cpu.ratio(), 4),
                rss_bytes=health.rss_bytes(),
                temperature_c=health.temperature_c(),
                outbox_rows=rows,
                outbox_oldest_age_s=round(age_s, 1),
                dropped=self._outbox.dropped,
                source=self._source.name[:64],
                clock_synced=clock.synced(),
                outbox=self._outbox.state,
                refused_rows=self._outbox.refused_count,
            )
        )
