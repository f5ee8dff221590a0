"""Life of a device: it listens, or pauses, until the clips end or a signal comes; commands change what it does."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from broker.messages import LiveState
from common.backoff import Backoff
from common.level import FLOOR_DBFS
from device.audio.source import Block, Source, SourceError
from device.control.commands import Commands, Desired
from device.delivery.recorder import Recorder
from device.delivery.session import Session
from device.health_reporter import CaptureHealth
from device.inference.baseline import Baseline, Origin
from device.inference.pipeline import Classify, Window, windows
from device.system import clock, resources
from device.system.systemd import SystemdNotifier
from models.frontend import Frames
from models.runtime import Classifier, Scores, VerifiedModel, load_verified

log = logging.getLogger(__name__)

TICK_S = 1.0
"""How often a paused device gives a sign of life."""
LONGEST_RETRY_S = 60.0


@dataclass
class Runner:
    """Runs one device. `run` belongs to the main thread; call the rest from any other.

    A command that changes what the device does closes the source, and `run` goes on with what is desired then.
    """

    open_source: Callable[[str | None], Source]
    """Opens the source with this id; None for the one that the settings name."""
    commands: Commands
    recorder: Recorder
    session: Session
    systemd: SystemdNotifier
    timings: resources.Timings
    baseline: Baseline
    publish_live: Callable[[LiveState], None] | None
    """Takes what each window holds, for home automation; None if nobody wants it."""
    runtime: str = "litert"
    """What runs the models that commands ask for, as the settings name it."""

    def __post_init__(self) -> None:
        """Start the counts at 0."""
        self._source: Source | None = None
        self._name = ""
        self._id: str | None = None
        self._overruns = 0
        self._reopened = 0
        self._has_reading = False
        self._stopping = False
        self._interrupted = threading.Event()
        """Set when `run` shall look again at what is desired."""
        self._command_thread = threading.Thread(target=self._carry_out_commands, name="commands", daemon=True)

    def run(self, model: VerifiedModel, source: Source | None) -> None:
        """Work until the clips end or `stop` is called.

        Args:
            model: The model to start with.
            source: The open source to start with; None for a device that starts paused.

        Raises:
            SourceError: no more sound can come until the process restarts.
            BundleError: the model that a command asked for has been damaged since it was installed.
            OverflowError: this boot has used up its sequence numbers.
        """
        if source:
            self._use(source)
        self._command_thread.start()
        self._announce_ready()
        try:
            while (desired := self._next_desired()) is not None:
                model = self._adopt(desired, model)
                if desired.paused:
                    self._close_source()
                    self._pause()
                elif current := self._source or self._open_source():
                    self._listen(current, model, desired)
                    self._close_source()
                    if not self._interrupted.is_set():
                        return  # the clips have ended
        finally:
            self._stopping = True
            self.systemd.stopping()
            self._close_source()
            self._command_thread.join()

    def stop(self) -> None:
        """End `run` soon; not for a signal handler, because `run` may hold a lock that this needs."""
        self._stopping = True
        self._interrupt()

    def capture_health(self) -> CaptureHealth:
        """Return whether sound comes in, and what was lost so far."""
        source = self._source
        if source is None:
            paused = self.commands.desired.paused
            return CaptureHealth(self._name, "paused" if paused else "missing", self._overruns, self._reopened)
        return CaptureHealth(self._name, source.capture, self._overruns_with(source), self._reopened + source.reopened)

    def _next_desired(self) -> Desired | None:
        """Return what the device shall do now; None after `stop`."""
        self._interrupted.clear()  # first, so that whatever changes from here on interrupts again
        return None if self._stopping else self.commands.desired

    def _announce_ready(self) -> None:
        doing = f"listening to {self._name}" if self._source else "paused"
        self.systemd.ready(doing)
        log.info("ready %.2f s after start: %s", resources.process_age_s() or float("nan"), doing)

    def _adopt(self, desired: Desired, model: VerifiedModel) -> VerifiedModel:
        """Switch to the desired model and publish what has changed; return the model in force."""
        if desired.bundle != model.bundle.folder:
            model = load_verified(desired.bundle, self.runtime)
            self.recorder.use(model.bundle.manifest)
        manifest = model.bundle.manifest
        self.session.set_status(
            state="paused" if desired.paused else "online",
            name=desired.name,
            labels=manifest.labels,
            model=manifest.name,
            gate_dbfs=desired.gate_dbfs,
            models=desired.models,
            can_roll_back=desired.can_roll_back,
        )
        return model

    def _pause(self) -> None:
        """Wait for a command or `stop`, and show everyone that this is a pause."""
        log.info("paused: the microphone is closed until someone resumes")
        while not self._interrupted.wait(TICK_S):
            self.recorder.pause(clock.monotonic_ms())
            if self.publish_live:
                live = LiveState(at=clock.now_ms(), state="paused", top=None, scores={}, level_dbfs=FLOOR_DBFS)
                self.publish_live(live)
            self.systemd.alive("paused")
        self.recorder.close_minute(clock.monotonic_ms(), 0)

    def _open_source(self) -> Source | None:
        """Open the source again, as often as it takes; return None if interrupted."""
        backoff = Backoff(TICK_S, LONGEST_RETRY_S)
        while not self._interrupted.is_set():
            try:
                source = self.open_source(self._id)
            except SourceError as error:
                pause_s = backoff.next_s()
                log.warning("%s; next try in %.1f s", error, pause_s)
                self._interrupted.wait(pause_s)
            else:
                self._use(source)
                return source
        return None

    def _listen(self, source: Source, model: VerifiedModel, desired: Desired) -> None:
        """Record window after window until the source ends or is closed."""
        manifest = model.bundle.manifest
        classify = _timed(model.classifier, self.timings)
        self.baseline.use(
            manifest,
            Origin(
                model=manifest.model_sha256,
                source=source.id,
                generation=self.recorder.generation,
                forgotten=desired.baselines_forgotten,
            ),
        )
        window: Window | None = None
        for window in windows(self._blocks(source), manifest, classify, desired.gate_dbfs, self.baseline.adjust):
            if self.recorder.add(window, self._overruns_with(source)):
                self.session.notify()
                self._log_first_reading()
            if self.publish_live:
                self.publish_live(_live(window, manifest.labels))
            self.systemd.alive(f"{window.state} at {window.level_dbfs:.0f} dBFS")
        self.baseline.save()
        if window:
            self.recorder.close_minute(window.end_ms, self._overruns_with(source))
            self.session.notify()

    def _blocks(self, source: Source) -> Iterator[Block]:
        """Yield blocks until the source ends or `run` is interrupted."""
        while not self._interrupted.is_set() and (block := source.read()) is not None:
            yield block

    def _use(self, source: Source) -> None:
        self._source, self._name, self._id = source, source.name, source.id

    def _close_source(self) -> None:
        """Close the source if one is open, and add up what it lost."""
        source = self._source
        if source:
            source.close()
            self._source = None
            self._overruns += source.dropped_blocks
            self._reopened += source.reopened

    def _overruns_with(self, source: Source) -> int:
        """Return the blocks lost since the start of the process, those of the open source included."""
        return self._overruns + source.dropped_blocks

    def _carry_out_commands(self) -> None:
        while not self._stopping:
            self.commands.wait(TICK_S)
            if self.commands.carry_out(self.session.answer):
                self._interrupt()

    def _interrupt(self) -> None:
        """Let `run` look again at what is desired; close the source, so that it reads no more."""
        self._interrupted.set()
        source = self._source
        if source:
            source.close()

    def _log_first_reading(self) -> None:
        if not self._has_reading:
            self._has_reading = True
            age_s = resources.process_age_s() or float("nan")
            log.info("first reading %.1f s after start; resident memory %.0f MB", age_s, resources.rss_bytes() / 1e6)


def _timed(classifier: Classifier, timings: resources.Timings) -> Classify:
    """Return the classifier's `scores`, timed."""

    def classify(frames: Frames) -> Scores:
        start_s = time.perf_counter()
        scores = classifier.scores(frames)
        timings.add((time.perf_counter() - start_s) * 1000)
        return scores

    return classify


def _live(window: Window, labels: tuple[str, ...]) -> LiveState:
    """Return what a window holds, for home automation."""
    return LiveState(
        at=clock.unix_ms(window.end_ms),
        state=window.state,
        top=window.top,
        scores={} if window.smoothed is None else dict(zip(labels, window.smoothed.tolist(), strict=True)),
        level_dbfs=round(window.level_dbfs, 1),
        baseline=None if window.baseline is None else round(window.baseline, 2),
    )
