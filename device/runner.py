"""One run of the device: it listens until the clips end or a signal comes; operators change it on the way."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from broker.messages import Live
from device.audio.level import FLOOR_DBFS
from device.audio.source import Block, Source, SourceError
from device.control.commands import Commands, Desired
from device.delivery.recorder import Recorder
from device.delivery.session import Session
from device.health_reporter import Hearing
from device.inference.model import VerifiedModel, load_verified
from device.inference.pipeline import Classify, Window, windows
from device.system import clock, resources
from device.system.systemd import SystemdNotifier
from models.frontend import Frames
from models.runtime import Classifier, Scores

log = logging.getLogger(__name__)

TICK_S = 1.0
"""How often a paused device shows that it lives, and looks whether it still shall pause."""
LONGEST_RETRY_S = 60.0


@dataclass
class Runner:
    """Listens, or pauses, as the commands say. `run` belongs to the main thread; the rest may be called from any.

    A command that changes what is listened to closes the source, and `run` begins anew with what is wanted then.
    """

    open_source: Callable[[str | None], Source]
    """Opens the source with this id; None: what the settings say."""
    commands: Commands
    recorder: Recorder
    session: Session
    systemd: SystemdNotifier
    timings: resources.Timings

    def __post_init__(self) -> None:
        """Begin to count."""
        self._source: Source | None = None
        self._name = ""
        self._id: str | None = None
        self._overruns = 0
        self._reopened = 0
        self._said_reading = False
        self._stopping = threading.Event()
        self._command_thread = threading.Thread(target=self._carry_out_commands, name="commands", daemon=True)

    def stop(self) -> None:
        """Let `run` end soon; safe in a signal handler."""
        self._stopping.set()
        self._interrupt()

    def hearing(self) -> Hearing:
        """Return what comes in at present."""
        source = self._source
        if source is None:
            paused = self.commands.desired.paused
            return Hearing(self._name, "paused" if paused else "missing", self._overruns, self._reopened)
        overruns, reopened = self._overruns + source.dropped_blocks, self._reopened + source.reopened
        return Hearing(self._name, source.capture, overruns, reopened)

    def run(self, model: VerifiedModel, source: Source | None) -> None:
        """Work until the clips end or someone stops it.

        Args:
            model: The model to begin with.
            source: What is listened to, already open; None when the device begins paused.

        Raises:
            SourceError: no more sound can come until the process starts again.
        """
        self._command_thread.start()
        how = f"listening to {source.name}" if source else "paused"
        self.systemd.ready(how)
        log.info("ready %.2f s after start: %s", resources.process_age_s() or float("nan"), how)
        try:
            while not self._stopping.is_set():
                desired = self.commands.desired
                model = self._adopt(desired, model)
                if desired.paused:
                    self._pause(desired)
                    continue
                source = source or self._open()
                if source is None:
                    continue
                with self._listening_to(source):
                    if self.commands.desired == desired and not self._stopping.is_set():
                        self._listen(source, model, desired)
                source = None
                if self.commands.desired == desired:
                    return  # nobody closed it: the clips have ended
        finally:
            self.systemd.stopping()
            self._stopping.set()
            self._command_thread.join()

    def _listen(self, source: Source, model: VerifiedModel, desired: Desired) -> None:
        """Record window after window until the source ends or is closed."""
        classify = _timed(model.classifier, self.timings)
        last: Window | None = None
        for last in windows(_blocks(source), model.bundle.manifest, classify, desired.gate_dbfs):
            self._record(last, source, model)
            self.systemd.alive(f"{last.state} at {last.level_dbfs:.0f} dBFS")
        if last:
            self.recorder.close_minute(last.end_ms, self._overruns + source.dropped_blocks)
            self.session.notify()

    def _record(self, window: Window, source: Source, model: VerifiedModel) -> None:
        if self.recorder.add(window, self._overruns + source.dropped_blocks):
            self.session.notify()
            self._say_first_reading()
        labels = model.bundle.manifest.labels
        scores = {} if window.smoothed is None else dict(zip(labels, window.smoothed.tolist(), strict=True))
        self.session.publish_live(
            Live(
                at=clock.unix_ms(window.end_ms),
                state=window.state,
                top=window.top,
                scores=scores,
                level_dbfs=round(window.level_dbfs, 1),
            )
        )

    def _pause(self, desired: Desired) -> None:
        """Wait, with the microphone closed, and show that this is a pause."""
        log.info("paused: the microphone is closed until someone resumes")
        while self.commands.desired == desired and not self._stopping.wait(TICK_S):
            self.recorder.pause(clock.monotonic_ms())
            self.session.publish_live(
                Live(at=clock.now_ms(), state="paused", top=None, scores={}, level_dbfs=FLOOR_DBFS)
            )
            self.systemd.alive("paused")
        self.recorder.close_minute(clock.monotonic_ms(), 0)

    def _adopt(self, desired: Desired, model: VerifiedModel) -> VerifiedModel:
        """Put in force what is desired, and tell it."""
        if desired.bundle != model.bundle.folder:
            model = load_verified(desired.bundle)
            self.recorder.use(model.bundle.manifest)
        manifest = model.bundle.manifest
        self.session.set_status(
            state="paused" if desired.paused else "online",
            name=desired.name,
            labels=manifest.labels,
            model=manifest.name,
        )
        return model

    def _open(self) -> Source | None:
        """Open the source again, with growing pauses while it is not there; None when something else is wanted."""
        desired, pause_s = self.commands.desired, TICK_S
        while self.commands.desired == desired and not self._stopping.is_set():
            try:
                return self.open_source(self._id)
            except SourceError as error:
                log.warning("%s; next try in %.0f s", error, pause_s)
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_RETRY_S)
        return None

    @contextmanager
    def _listening_to(self, source: Source) -> Iterator[None]:
        """Let commands and signals close the source, and count what it lost."""
        self._source, self._name, self._id = source, source.name, source.id
        try:
            yield
        finally:
            source.close()
            self._source = None
            self._overruns += source.dropped_blocks
            self._reopened += source.reopened

    def _carry_out_commands(self) -> None:
        while not self._stopping.is_set():
            self.commands.wait(TICK_S)
            if self.commands.carry_out(self.session.answer):
                self._interrupt()

    def _interrupt(self) -> None:
        source = self._source
        if source is not None:
            source.close()

    def _say_first_reading(self) -> None:
        if not self._said_reading:
            self._said_reading = True
            age_s = resources.process_age_s() or float("nan")
            log.info("first reading %.1f s after start; resident memory %.0f MB", age_s, resources.rss_bytes() / 1e6)


def _timed(classifier: Classifier, timings: resources.Timings) -> Classify:
    def classify(frames: Frames) -> Scores:
        start_s = time.perf_counter()
        scores = classifier.scores(frames)
        timings.add((time.perf_counter() - start_s) * 1000)
        return scores

    return classify


def _blocks(source: Source) -> Iterator[Block]:
    while (block := source.read()) is not None:
        yield block
