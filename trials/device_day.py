"""A day of speech at full speed: `python -m trials.device_day [hours]`.

The device's pipeline, recorder, outbox and session run in one process, as the runner drives them. Blocks of 100 ms come
as fast as they are taken, and the clock advances with the sound, so that the records carry the times of the last 24
hours. Mosquitto, ingest, the store and REST behind them are real. The sound is five minutes of real recordings if they
are present (else the samples), with short pauses, repeated at shifting offsets.

In the first five minutes of sound each record is confirmed before the next window, as in a live device, and what the
outbox wrote is flushed to the disk every half minute, as the kernel does: so bytes and processor time per reading are
those of a live device. After that the trial runs at full speed, but waits for the server whenever 1,000 records are in
the outbox, so that the outbox drops none.

"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

import models.bundle
from broker.messages import Status
from common.audio_files import AudioFile
from device.audio import clip_player
from device.audio.source import SAMPLE_RATE_HZ, Block
from device.delivery.outbox import Limits, Outbox, Owner
from device.delivery.recorder import Recorder
from device.delivery.session import Session
from device.delivery.timestamps import Timestamps
from device.inference.pipeline import windows
from device.settings import DeviceSettings
from device.system import identity, resources
from models.frontend import Samples
from models.runtime import Classifier
from trials.processes import PASSWORD, PATIENCE_S, wait_until
from trials.services import RECORDINGS, ROOT, Services, serving

DEVICE = "020000000001"
BLOCK_MS = 100
SOUND_S = 300
PAUSE_S = 0.5
HOUR_MS = 3_600_000
LIVE_MS = HOUR_MS // 12
MOST_WAITING = 1_000
NOTIFY_EVERY = 50
"""At full speed the session is notified once in so many windows, so that records go as arrays, as a backlog does."""
WRITE_BACK_MS = 30_000
"""How long Linux lets changed pages of a file wait at most (dirty_expire_centisecs)."""


class Clock:
    """A synchronised clock that advances with the sound."""

    def __init__(self, start_ms: int) -> None:
        self._start_ms = start_ms
        self.played_ms = 0

    def now_ms(self) -> int:
        """Return Unix milliseconds."""
        return self._start_ms + self.played_ms

    def monotonic_ms(self) -> int:
        """Return milliseconds since the start."""
        return self.played_ms

    def synced(self) -> bool:
        """Return True."""
        return True

    def kernel_boot(self) -> str:
        """Return a fixed id."""
        return "trial"


def main() -> None:
    """Run the trial and print its figures."""
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 24.0
    if hours * HOUR_MS <= LIVE_MS:
        raise SystemExit(f"{hours:g} hours are too few; use more than {LIVE_MS / HOUR_MS:g}")
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "services", [DEVICE]) as services:
        day = _Day(services, Path(folder) / "state", hours)
        try:
            day.play()
        finally:
            day.close()
        day.print_figures()


class _Day:
    """One run of the trial, with its measurements."""

    def __init__(self, services: Services, state: Path, hours: float) -> None:
        self._services = services
        self._state = state
        self._hours = hours
        self._bundle = models.bundle.load(models.bundle.find(models.bundle.DEFAULT))
        self._sound, self._kind = _sound()
        self._clock = Clock(time.time_ns() // 1_000_000 - round(hours * HOUR_MS))
        status = Status(
            state="online",
            boot=identity.new_boot(),
            connection=0,
            name="Trial",
            labels=self._bundle.manifest.labels,
            model=self._bundle.manifest.name,
            version=version("moodwire"),
        )
        owner, limits = Owner(DEVICE, identity.machine()), Limits(500_000, 256_000_000, 30 * 86_400)
        self._outbox = Outbox(state / "outbox.sqlite", owner, limits, Timestamps(0.0, self._clock))
        settings = DeviceSettings(mqtt_url=services.mqtt_url, mqtt_password=PASSWORD, state_dir=state)
        self._session = Session(settings, DEVICE, status, self._outbox, lambda *_: None)
        self._recorder = Recorder(self._outbox, status.boot, self._bundle.manifest)
        self._windows = self._readings = self._waits = 0
        self._rss: list[tuple[float, float]] = []
        """Hours of sound and megabytes, at several moments."""
        self._file_bytes = 0
        self._live_written = self._live_readings = 0
        self._live_windows = 0
        self._live_cpu_s = self._wall_s = 0.0

    def play(self) -> None:
        """Play the day and wait until all of it is confirmed."""
        self._session.start()
        start_s, start_cpu_s, start_written = time.monotonic(), time.process_time(), _written()
        next_rss_ms, next_write_back_ms = 60_000, WRITE_BACK_MS
        live = True
        for window in windows(self._blocks(), self._bundle.manifest, Classifier(self._bundle).scores, -50.0):
            self._windows += 1
            if self._recorder.add(window, 0) is not None:
                self._readings += 1
            if live:
                self._drain()
                if window.end_ms >= next_write_back_ms:
                    next_write_back_ms += WRITE_BACK_MS
                    self._write_back()
                if window.end_ms >= LIVE_MS:
                    live, self._live_windows = False, self._windows
                    self._live_written, self._live_readings = _written() - start_written, self._readings
                    self._live_cpu_s = time.process_time() - start_cpu_s
            elif self._windows % NOTIFY_EVERY == 0:
                self._session.notify()
            if self._outbox.waiting()[0] > MOST_WAITING:
                self._waits += 1
                wait_until(lambda: self._outbox.waiting()[0] < MOST_WAITING // 2, "the server catches up")
            if window.end_ms >= next_rss_ms:
                next_rss_ms = (window.end_ms // HOUR_MS + 1) * HOUR_MS
                self._rss.append((window.end_ms / HOUR_MS, resources.rss_bytes() / 1e6))
                self._file_bytes = max(self._file_bytes, sum(file.stat().st_size for file in self._files()))
        self._recorder.close_minute(self._clock.played_ms, 0)
        self._drain()
        self._wall_s = time.monotonic() - start_s

    def close(self) -> None:
        """Close the session and the outbox."""
        self._session.stop()
        self._outbox.close()

    def print_figures(self) -> None:
        """Print the figures."""
        records, readings, missing = self._services.kept(DEVICE)
        hop_s = self._bundle.manifest.hop_ms / 1000
        per_window_ms = self._live_cpu_s * 1000 / self._live_windows
        wear = self._live_written / self._live_readings
        day_mb = wear * 86_400 / hop_s / 1e6
        shown = ", ".join(f"{mb:.1f} MB at {hours:.1f} h" for hours, mb in self._shown_rss())
        print(f"sound             {self._hours:g} hours: {self._kind}, played in {self._wall_s:.0f} s")
        print(f"windows           {self._windows}, of them {self._readings} readings")
        print(f"stored            {records} records, of them {readings} readings")
        print(
            f"lost              {missing + self._readings - readings}, and {self._outbox.dropped} dropped in the outbox"
        )
        print(f"repeated          {max(0, readings - self._readings)} readings stored more than once")
        print(f"server behind     waited for it {self._waits} times, with {MOST_WAITING} records in the outbox")
        print(f"resident memory   {shown}")
        print(f"written to disk   {wear:.0f} bytes for each of {self._live_readings} readings at a live pace")
        print(
            f"                  {day_mb:.0f} MB a day, {day_mb * 0.365:.0f} GB a year, if someone speaks all the time"
        )
        print(f"outbox files      {self._file_bytes / 1e6:.2f} MB at most")
        share = per_window_ms / hop_s / 10
        print(
            f"processor time    {per_window_ms:.2f} ms a window, {share:.2f} % of a core, all threads, at a live pace"
        )
        if missing or readings != self._readings or self._outbox.dropped:
            raise SystemExit("the stored readings are not those that were heard")

    def _blocks(self) -> Iterator[Block]:
        samples = SAMPLE_RATE_HZ * BLOCK_MS // 1000
        around = np.concatenate((self._sound, self._sound[:samples]))
        place = 0
        while self._clock.played_ms < self._hours * HOUR_MS:
            self._clock.played_ms += BLOCK_MS
            yield Block(around[place : place + samples], self._clock.played_ms)
            place = (place + samples) % len(self._sound)

    def _drain(self) -> None:
        self._session.notify()
        if self._session.drain(PATIENCE_S):
            raise SystemExit(f"the server has not confirmed within {PATIENCE_S:.0f} s")

    def _files(self) -> list[Path]:
        return [self._state / f"outbox.sqlite{suffix}" for suffix in ("", "-wal")]

    def _write_back(self) -> None:
        """Let the outbox's changed pages go to the disk."""
        for path in self._files():
            file = os.open(path, os.O_RDONLY)
            os.fdatasync(file)
            os.close(file)

    def _shown_rss(self) -> list[tuple[float, float]]:
        """Return the memory at the beginning, after an hour, and at some later times to the end."""
        later = self._rss[2 :: max(1, len(self._rss) // 4)]
        return list(dict.fromkeys([*self._rss[:2], *later, self._rss[-1]]))


def _sound() -> tuple[Samples, str]:
    """Return some minutes of sound, and what it is."""
    files = sorted(RECORDINGS.glob("*.flac"))
    kind = "real recordings (CREMA-D)"
    if not files:
        files, kind = sorted((ROOT / "samples").glob("*.flac")), "the synthesised samples"
    noise = np.random.default_rng(0)
    parts: list[Samples] = []
    for file in files[:: max(1, len(files) // 200)]:
        pause = noise.normal(0, clip_player.PAUSE_DEVIATION, round(PAUSE_S * SAMPLE_RATE_HZ))
        with AudioFile(file) as clip:
            parts.append(clip.read(SAMPLE_RATE_HZ))
        parts.append(np.rint(pause).astype(np.int16))
        if sum(map(len, parts)) > SOUND_S * SAMPLE_RATE_HZ:
            break
    return np.concatenate(parts), kind


def _written() -> int:
    """Return the bytes that this process has caused to be written to disk (proc(5), `write_bytes`)."""
    return int(Path("/proc/self/io").read_text().partition("\nwrite_bytes: ")[2].split()[0])


if __name__ == "__main__":
    main()
