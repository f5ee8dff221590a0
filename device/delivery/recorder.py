"""Records of what the pipeline hears: a reading for each window of speech, and a `heard` record a minute."""

from dataclasses import dataclass

from broker.messages import MAX_SEQ, Heard, Reading
from common.level import FLOOR_DBFS
from device.delivery.outbox import Outbox
from device.delivery.row import Row
from device.inference.pipeline import Window
from models.bundle import Manifest

HEARD_MS = 60_000
NOBODY = ("silent", "noise")
"""States of windows in which nobody spoke; a `heard` record counts both as silent."""


@dataclass
class _Minute:
    """What was heard since the last `heard` record."""

    start_ms: int
    dropped_before: int = 0
    paused: bool = False
    windows: int = 0
    silent: int = 0
    speech: int = 0
    uncertain: int = 0
    level_sum_db: float = 0.0
    clipping_sum: float = 0.0
    snr_sum_db: float = 0.0
    snr_windows: int = 0
    """Windows with speech; only they have an SNR."""

    def count(self, window: Window) -> None:
        """Count one window."""
        self.windows += 1
        self.silent += window.state in NOBODY
        self.speech += window.state == "speech"
        self.uncertain += window.state == "uncertain"
        self.level_sum_db += window.level_dbfs
        self.clipping_sum += window.clipping
        if window.snr_db is not None:
            self.snr_sum_db += window.snr_db
            self.snr_windows += 1


class Recorder:
    """Numbers records and puts them into the outbox. All times are of `clock.monotonic_ms`.

    The numbers of a boot last two years at one record a second; then the process must start again.
    """

    def __init__(self, outbox: Outbox, boot: str, manifest: Manifest) -> None:
        self._outbox = outbox
        self._boot = boot
        self._manifest = manifest
        self._next_seq = 0
        self._minute: _Minute | None = None

    @property
    def generation(self) -> int:
        """Erase generation that new records belong to."""
        return self._outbox.generation

    def use(self, manifest: Manifest) -> None:
        """Take windows of another model from now on; numbers and counts continue."""
        self._manifest = manifest

    def add(self, window: Window, dropped_blocks: int) -> Reading | None:
        """Record one window, and return the reading if it was speech; the reading is then in the outbox.

        Raises:
            OverflowError: the numbers of this boot are used up.
        """
        if self._minute and self._minute.paused:
            self.close_minute(window.end_ms - self._manifest.window_ms, 0)
        minute = self._minute or _Minute(window.end_ms - self._manifest.hop_ms, dropped_blocks)
        self._minute = minute
        minute.count(window)
        reading = self._reading(window)
        if window.end_ms - minute.start_ms >= HEARD_MS:
            self.close_minute(window.end_ms, dropped_blocks)
        return reading

    def pause(self, now_ms: int) -> None:
        """Record that the device is paused; call it every second or so. Each minute becomes a `heard` record."""
        if self._minute and not self._minute.paused:
            self.close_minute(now_ms, self._minute.dropped_before)
        minute = self._minute or _Minute(now_ms, paused=True)
        self._minute = minute
        if now_ms - minute.start_ms >= HEARD_MS:
            self.close_minute(now_ms, 0)
            self._minute = _Minute(now_ms, paused=True)

    def close_minute(self, end_ms: int, dropped_blocks: int) -> None:
        """Put a `heard` record of all since the last one, if there was anything."""
        minute, self._minute = self._minute, None
        if minute is None:
            return
        stamp = self._outbox.timestamps.stamp(end_ms)
        heard = Heard(
            boot=self._boot,
            seq=self._take_seq(),
            gen=self._outbox.generation,
            at=stamp.at_ms,
            span_ms=min(max(1, end_ms - minute.start_ms), 10 * HEARD_MS),
            windows=minute.windows,
            silent=minute.silent,
            speech=minute.speech,
            uncertain=minute.uncertain,
            dropped=max(0, dropped_blocks - minute.dropped_before),
            level_dbfs=round(minute.level_sum_db / minute.windows, 1) if minute.windows else FLOOR_DBFS,
            clipping=round(minute.clipping_sum / minute.windows, 6) if minute.windows else 0.0,
            snr_db=round(minute.snr_sum_db / minute.snr_windows, 1) if minute.snr_windows else None,
            paused=minute.paused,
        )
        self._outbox.put(Row.of(heard, stamp))

    def _reading(self, window: Window) -> Reading | None:
        state = window.state
        if state == "silent" or state == "noise" or window.scores is None:  # noqa: PLR1714 - mypy follows only these
            return None
        stamp = self._outbox.timestamps.stamp(window.end_ms)
        reading = Reading(
            boot=self._boot,
            seq=self._take_seq(),
            gen=self._outbox.generation,
            at=stamp.at_ms,
            span_ms=self._manifest.window_ms,
            state=state,
            scores={
                label: round(float(score), 4) for label, score in zip(self._manifest.labels, window.scores, strict=True)
            },
            level_dbfs=round(window.level_dbfs, 1),
            model=self._manifest.name,
            clock_synced=stamp.synced,
            baseline=None if window.baseline is None else round(window.baseline, 2),
        )
        self._outbox.put(Row.of(reading, stamp))
        return reading

    def _take_seq(self) -> int:
        seq = self._next_seq
        if seq > MAX_SEQ:
            raise OverflowError(f"this boot has used its {MAX_SEQ + 1} sequence numbers; start the device again")
        self._next_seq = seq + 1
        return seq
