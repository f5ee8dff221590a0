"""Turns what the pipeline hears into records for the outbox."""

from dataclasses import dataclass

from broker.messages import MAX_SEQ, Heard, Reading, encode
from device import clock
from device.outbox import Outbox
from device.pipeline import Window
from models.bundle import Manifest

HEARD_MS = 60_000


@dataclass
class _Minute:
    """Counts since the last `heard` record."""

    start_ms: int
    windows: int = 0
    silent: int = 0
    speech: int = 0
    uncertain: int = 0
    level_sum_db: float = 0.0
    clipping_sum: float = 0.0
    dropped_before: int = 0


class Recorder:
    """Numbers and keeps every reading, and one `heard` record a minute.

    A boot whose numbers are used up is at its end; the process must start again (after two years at one a second).
    """

    def __init__(self, outbox: Outbox, boot: str, manifest: Manifest) -> None:
        self._outbox = outbox
        self._boot = boot
        self._manifest = manifest
        self._next_seq = 0
        self._minute: _Minute | None = None

    def add(self, window: Window, dropped_blocks: int, *, clock_synced: bool) -> Reading | None:
        """Take one window, and return the reading if it was speech; it is then in the outbox."""
        minute = self._minute or _Minute(window.end_ms - self._manifest.hop_ms, dropped_before=dropped_blocks)
        self._minute = minute
        minute.windows += 1
        minute.silent += window.state == "silent"
        minute.speech += window.state == "speech"
        minute.uncertain += window.state == "uncertain"
        minute.level_sum_db += window.level_dbfs
        minute.clipping_sum += window.clipping
        reading = self._reading(window, clock_synced=clock_synced)
        if window.end_ms - minute.start_ms >= HEARD_MS:
            self.close_minute(window.end_ms, dropped_blocks)
        return reading

    def close_minute(self, end_ms: int, dropped_blocks: int) -> None:
        """Keep a `heard` record of what has been heard since the last one, if anything."""
        minute, self._minute = self._minute, None
        if minute is None:
            return
        heard = Heard(
            boot=self._boot,
            seq=self._take_seq(),
            gen=self._outbox.generation,
            at=clock.unix_ms(end_ms),
            span_ms=min(max(1, end_ms - minute.start_ms), 10 * HEARD_MS),
            windows=minute.windows,
            silent=minute.silent,
            speech=minute.speech,
            uncertain=minute.uncertain,
            dropped=dropped_blocks - minute.dropped_before,
            level_dbfs=round(minute.level_sum_db / minute.windows, 1),
            clipping=round(minute.clipping_sum / minute.windows, 6),
        )
        self._outbox.put("heard", heard.boot, heard.seq, heard.at, encode(heard))

    def _reading(self, window: Window, *, clock_synced: bool) -> Reading | None:
        if window.state == "silent" or window.scores is None:
            return None
        reading = Reading(
            boot=self._boot,
            seq=self._take_seq(),
            gen=self._outbox.generation,
            at=clock.unix_ms(window.end_ms),
            span_ms=self._manifest.window_ms,
            state=window.state,
            scores={
                label: round(float(score), 4) for label, score in zip(self._manifest.labels, window.scores, strict=True)
            },
            level_dbfs=round(window.level_dbfs, 1),
            model=self._manifest.name,
            clock_synced=clock_synced,
        )
        self._outbox.put("reading", reading.boot, reading.seq, reading.at, encode(reading))
        return reading

    def _take_seq(self) -> int:
        seq = self._next_seq
        if seq > MAX_SEQ:
            raise OverflowError(f"this boot has used its {MAX_SEQ + 1} sequence numbers; start the device again")
        self._next_seq = seq + 1
        return seq
