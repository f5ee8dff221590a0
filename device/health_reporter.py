"""Publishes the device's health once a minute, and lets the outbox drop records that are too old."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from broker.messages import BaselineHealth, CaptureState, Health
from device.delivery.outbox import Outbox
from device.delivery.session import Session
from device.system import clock, resources

FIRST_S = 5.0
"""From the start to the first report."""
HEALTH_S = 60.0


class CaptureHealth(NamedTuple):
    """Health of the microphone or the clips."""

    source: str
    """Name for people."""
    state: CaptureState
    overruns: int
    """Blocks of sound lost since the start of the process."""
    reopened: int
    """How often the microphone was reopened since then."""


@dataclass
class HealthReporter:
    """Reports from a thread of its own between `start` and `stop`, so that it also reports a missing microphone."""

    outbox: Outbox
    session: Session
    boot: str
    timings: resources.Timings
    capture_health: Callable[[], CaptureHealth]
    baseline_health: Callable[[], BaselineHealth | None]
    state_dir: Path

    def __post_init__(self) -> None:
        """Start to measure."""
        self._cpu = resources.CpuMeter()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after a report that is being made."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        wait_s = FIRST_S
        while not self._stopping.wait(wait_s):
            start_s = time.monotonic()
            self.outbox.drop_old()
            self.session.publish_health(self._report())
            wait_s = max(0.0, HEALTH_S - (time.monotonic() - start_s))

    def _report(self) -> Health:
        rows, age_s = self.outbox.waiting()
        capture = self.capture_health()
        return Health(
            boot=self.boot,
            inference_p50_ms=round(self.timings.percentile_ms(50), 3),
            inference_p95_ms=round(self.timings.percentile_ms(95), 3),
            cpu_ratio=round(self._cpu.ratio(), 4),
            rss_bytes=resources.rss_bytes(),
            temperature_c=resources.temperature_c(),
            outbox_rows=rows,
            outbox_oldest_age_s=round(age_s, 1),
            dropped=self.outbox.dropped,
            dropped_spans=self.outbox.dropped_spans,
            source=capture.source[:64],
            clock_synced=clock.synced(),
            capture=capture.state,
            overruns=capture.overruns,
            reopened=capture.reopened,
            outbox=self.outbox.state,
            refused_rows=self.outbox.refused_count,
            damaged_rows=self.outbox.damaged,
            disk_free_bytes=resources.disk_free_bytes(self.state_dir),
            server=self.session.server,
            baseline=self.baseline_health(),
        )
