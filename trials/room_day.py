"""A day in one room, hour by hour: `python -m trials.room_day [BUNDLE] [--picture FILE] [--page FILE]`.

Three actors of RAVDESS, who are strangers to the model, talk with pauses, 70 % of it neutral; there are silence, music,
talk over music, a quarrel, and another microphone from 15 o'clock on. Three minutes of sound stand for an hour
(`--minutes`): the clock runs so much faster. The device's pipeline, baseline, recorder, outbox and session are real, so
are Mosquitto, ingest, the store and REST, from which counts, shares and the state of the baseline are read back.

The day is that of the last 24 hours, and is printed as a table in Markdown. Shares of emotions are those of readings
that are not uncertain. UAR is over the windows that hold a second of one clip: of the model's own scores, and after the
baseline. `--page` adds live events, the dashboard and Chromium, and shows the device's page at the end of the day, by
the clock of the zone where the day begins at midnight.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import numpy as np
from PIL import Image

import models.bundle
from broker.messages import BaselineHealth, Health, Status
from broker.topics import mac_address
from device.audio.source import SAMPLE_RATE_HZ, Block
from device.delivery.outbox import Limits, Outbox, Owner
from device.delivery.recorder import Recorder
from device.delivery.session import Session
from device.delivery.timestamps import Timestamps
from device.inference.baseline import Adjusted, Baseline, Origin
from device.inference.pipeline import Window, windows
from device.settings import DeviceSettings
from device.system import identity, resources
from models.bundle import Manifest
from models.runtime import Classifier, Scores
from training import catalogue, evaluate
from trials import pictures, room_day_picture
from trials.browser import running_browser
from trials.device_day import Clock
from trials.processes import PASSWORD, PATIENCE_S, wait_until
from trials.room_day_picture import Told
from trials.room_day_sound import DAY, OTHER_MICROPHONE, Sounds
from trials.services import ROOT, Services, serving, showing
from trials.streams import BLOCK, NOBODY, truth_of

DEVICE = "020000000001"
NAME = "Living room"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PAGE = (1200, 775)
"""Width and height of the picture of the page."""
COLOURS = 128
"""Of that picture; more make a file that is larger and no better to read."""


def main() -> None:
    """Play the day, print a line for each hour, and draw what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m trials.room_day")
    parser.add_argument("bundle", nargs="?", default=models.bundle.DEFAULT)
    parser.add_argument("--minutes", type=float, default=3.0, help="minutes of sound that stand for an hour, 1 to 60")
    parser.add_argument("--picture", type=Path, help="file to draw the day into, such as room-day.svg")
    parser.add_argument("--page", type=Path, help="PNG file for a picture of the device's page at the end")
    parser.add_argument("--recordings-dir", type=Path, default=ROOT.parent / "shared" / "data")
    asked = parser.parse_args()
    if not 1 <= asked.minutes <= 60:
        parser.error(f"--minutes is {asked.minutes:g}: give 1 to 60")
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "services", [DEVICE]) as services:
        room = _Room(services, Path(folder) / "state", asked.bundle, asked.recordings_dir, asked.minutes)
        try:
            print(f"{room.head}\n|{' --- |' * room.head.count(' | ')} --- |")
            day = room.play()
            room.print_sum()
            print(f"played in {time.monotonic() - start_s:.0f} s")
            if asked.picture:
                pictures.save(room_day_picture.draw(room.manifest.name, room.manifest.labels, day), asked.picture)
            if asked.page:
                _show(services, Path(folder), room.start_ms, asked.page)
        finally:
            room.close()


def _show(services: Services, folder: Path, start_ms: int, file: Path) -> None:
    """Take a picture of the device's page with the day on it and the state of the baseline."""
    start, end = (datetime.fromtimestamp(ms / 1000, UTC).isoformat() for ms in (start_ms, start_ms + DAY_MS))
    with showing(folder, services) as login, running_browser(folder / "chromium") as browser:
        width, height = PAGE
        browser.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        browser.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
        browser.tell("Emulation.setTimezoneOverride", timezoneId=zone_of(start_ms))
        browser.get(login)
        query = urlencode({"start": start, "end": end})
        browser.get(f"{login.partition('/login')[0]}/#/device/{mac_address(DEVICE)}?{query}")
        for place in (".device-head .baseline", ".timeline figcaption", ".winners", ".completeness"):
            browser.wait(f"return document.querySelector({place!r})?.innerText || ''", f"the page shows {place}")
        browser.wait("return document.fonts.status === 'loaded'", "the page has its fonts")
        png = browser.chrome.get_screenshot_as_png()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


def zone_of(start_ms: int) -> str:
    """Return the time zone in which this full hour is midnight."""
    east = -(start_ms // HOUR_MS) % 24
    east -= 24 * (east > 12)
    return f"Etc/GMT{-east:+d}" if east else "Etc/UTC"  # whose names have the other sign


class _Hour:
    """What the device has heard in the hour that is played."""

    def __init__(self) -> None:
        self.truth = np.zeros(0, np.int8)
        """Label of each sample."""
        self.begin_ms = 0
        """Since the sound began."""
        self.states: list[str] = []
        """Of its windows."""
        self.strengths: list[tuple[int, float]] = []
        """Milliseconds since the beginning, and how strongly the baseline was in force."""
        self.found: list[tuple[int, int, int]] = []
        """Truth, best label of the model alone, and after the baseline, of each window with speech of one clip.

        A window that began in the hour before is in neither.
        """

    def begin(self, truth: np.ndarray, begin_ms: int, strength: float) -> None:
        """Begin an hour with this sound."""
        self.truth = truth
        self.begin_ms = begin_ms
        self.states, self.strengths, self.found = [], [(0, strength)], []

    def count(self, window: Window, cold: Scores | None, manifest: Manifest) -> None:
        """Count a window, whose scores were these before the baseline."""
        part_ms = window.end_ms - self.begin_ms
        end = part_ms * SAMPLE_RATE_HZ // 1000
        begin = end - manifest.window_samples
        label = NOBODY if begin < 0 else truth_of(self.truth[begin:end], len(manifest.labels))
        self.states.append(window.state)
        if window.scores is not None and cold is not None and label >= 0:
            self.found.append((label, int(cold.argmax()), int(window.scores.argmax())))
        if window.baseline is not None:
            self.strengths.append((part_ms, window.baseline))


class _Room:
    """The room, the device in it, and what it has heard so far.

    Args:
        services: what the device talks to.
        state: its state folder.
        bundle: name or folder of its model.
        recordings_dir: holds RAVDESS.
        minutes: of sound that stand for an hour.
    """

    def __init__(self, services: Services, state: Path, bundle: str, recordings_dir: Path, minutes: float) -> None:
        self._services = services
        self._bundle = models.bundle.load(models.bundle.find(bundle))
        self._classifier = Classifier(self._bundle)
        self.manifest = manifest = self._bundle.manifest
        if catalogue.is_own("ravdess", manifest):
            raise SystemExit(f"{manifest.name} was taught by RAVDESS, whose actors talk here: give another bundle")
        self._haste = 60 / minutes
        self._sounds = Sounds(recordings_dir, manifest.labels, minutes)
        # Not midnight: ingest would doubt a clock that is more than a day behind for two minutes.
        self.start_ms = time.time_ns() // 1_000_000 // HOUR_MS * HOUR_MS - DAY_MS
        self._clock = Clock(self.start_ms)
        status = Status(
            state="online",
            boot=identity.new_boot(),
            connection=0,
            name=NAME,
            labels=manifest.labels,
            model=manifest.name,
            version=version("moodwire"),
        )
        self._boot = status.boot
        owner, limits = Owner(DEVICE, identity.machine()), Limits(500_000, 256_000_000, 30 * 86_400)
        self._outbox = Outbox(state / "outbox.sqlite", owner, limits, Timestamps(0.0, self._clock))
        settings = DeviceSettings(mqtt_url=services.mqtt_url, mqtt_password=PASSWORD, state_dir=state)
        self._session = Session(settings, DEVICE, status, self._outbox, lambda *_: None)
        # A `heard` record lasts from the window before its first to its last, by the clock.
        hastened = msgspec.structs.replace(manifest)
        msgspec.structs.force_setattr(hastened, "hop_ms", round(self._haste * manifest.hop_ms))
        self._recorder = Recorder(self._outbox, status.boot, hastened)
        self._baseline = Baseline(state, on=True, half_life_min=settings.baseline_half_life_min)
        self._session.start()
        self._cold: Scores | None = None
        self._learned = ""
        """How many windows the baseline has heard, of how many, as REST tells it."""
        self._now = _Hour()
        self._found: list[tuple[int, int, int]] = []
        """As of an hour."""
        self._told: list[Told] = []

    @property
    def head(self) -> str:
        """What the columns are."""
        labels = ", ".join(self.manifest.labels)
        return (
            f"| hour | what is heard | spoken: {labels} | silent / noise | readings | uncertain | heard: {labels} | "
            "baseline | UAR |"
        )

    def play(self) -> list[Told]:
        """Let the device hear the day, print each hour once all of it is stored, and return what REST says."""
        manifest = self.manifest
        for source, hours in (("room", range(OTHER_MICROPHONE)), ("other", range(OTHER_MICROPHONE, len(DAY)))):
            generation, sha256 = self._recorder.generation, manifest.model_sha256
            self._baseline.use(manifest, Origin(model=sha256, source=source, generation=generation, forgotten=0))
            for window in windows(self._blocks(hours), manifest, self._classifier.scores, None, self._adjust):
                self._recorder.add(window._replace(end_ms=self._clock.played_ms), 0)
                self._now.count(window, self._cold, manifest)
        return self._told

    def _blocks(self, hours: Sequence[int]) -> Iterator[Block]:
        """Yield the sound of these hours; between two of them the device is asked what it has heard."""
        played_ms = 0
        for number in hours:
            samples, truth = self._sounds.of(number)
            self._now.begin(truth, played_ms, self._strength)
            for start in range(0, len(samples) - BLOCK + 1, BLOCK):
                played_ms += BLOCK * 1000 // SAMPLE_RATE_HZ
                # a millisecond less, so that the last window is in this hour
                self._clock.played_ms = number * HOUR_MS + round(self._haste * (played_ms - self._now.begin_ms)) - 1
                yield Block(samples[start : start + BLOCK], played_ms)
            self._end(number)

    def _end(self, number: int) -> None:
        """End an hour: wait until all of it is stored, and print it."""
        if number in {OTHER_MICROPHONE - 1, len(DAY) - 1}:
            self._recorder.close_minute(self._clock.played_ms, 0)
        self._session.notify()
        if self._session.drain(PATIENCE_S):
            raise SystemExit(f"the server has not confirmed within {PATIENCE_S:.0f} s")
        self._tell_baseline()
        self._found += self._now.found
        self._told.append(self._ask(number))
        self._print(number, self._told[-1])

    @property
    def _strength(self) -> float:
        """How strongly the baseline is in force."""
        known = self._baseline.health()
        assert known is not None
        return known.strength

    def close(self) -> None:
        """Close the session and the outbox."""
        self._session.stop()
        self._outbox.close()

    def print_sum(self) -> None:
        """Print the UAR of the whole day, and what is stored."""
        records, readings, missing = self._services.kept(DEVICE)
        cold, after = (_percent(_uar(self._found, column)) for column in (1, 2))
        print(f"\n{self.manifest.name}: UAR over the day {cold} cold, {after} after the baseline")
        print(f"{records} records are stored, of them {readings} readings; {missing} are missing")
        if missing:
            raise SystemExit("the store lacks records")

    def _ask(self, number: int) -> Told:
        """Return what there was in an hour, and what REST tells of it."""
        labels, hour, now = self.manifest.labels, DAY[number], self._now
        start_s = (self.start_ms + number * HOUR_MS) / 1000
        summary = self._services.get(f"/devices/{DEVICE}/summary", start=start_s, end=start_s + HOUR_MS / 1000)
        counts = np.bincount(now.truth[now.truth >= 0], minlength=len(labels))
        return Told(
            voices=" ".join(hour.voices),
            event=hour.event,
            other_microphone=number >= OTHER_MICROPHONE,
            spoken=dict(zip(labels, (counts / counts.sum()).tolist(), strict=True)) if counts.any() else {},
            readings=summary["readings"],
            uncertain=summary["uncertain"]["share"],
            shares={label: summary["labels"].get(label, {}).get("share") for label in labels},
            cold=_uar(now.found, 1),
            after=_uar(now.found, 2),
            strengths=[(part_ms * self._haste / HOUR_MS, strength) for part_ms, strength in now.strengths],
        )

    def _print(self, number: int, told: Told) -> None:
        spoken, heard = (
            ", ".join(_percent(shares.get(label), 0) for label in self.manifest.labels) if any(shares.values()) else "-"
            for shares in (told.spoken, told.shares)
        )
        states = self._now.states
        title = DAY[number].title + ", another microphone" * (number == OTHER_MICROPHONE)
        cells = (
            *(str(number), title, spoken, f"{states.count('silent')} / {states.count('noise')}", str(told.readings)),
            *(_percent(told.uncertain, 0), heard, self._learned),
            "-" if told.cold is None else f"{_percent(told.cold)} → {_percent(told.after)}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)

    def _tell_baseline(self) -> None:
        """Let the device tell how far it has learned, if that has changed, and wait until REST says so."""
        known = self._baseline.health()
        assert known is not None
        learned = f"{known.heard}/{known.wanted}"
        if learned != self._learned:
            self._session.publish_health(self._health(known))
            wait_until(lambda: self._heard() == known.heard, "REST tells the baseline")
        self._learned = learned

    def _heard(self) -> int | None:
        baseline = self._services.get(f"/devices/{DEVICE}")["baseline"]
        return baseline and int(baseline["heard"])

    def _adjust(self, scores: Scores) -> Adjusted | None:
        self._cold = scores
        return self._baseline.adjust(scores)

    def _health(self, baseline: BaselineHealth) -> Health:
        return Health(
            boot=self._boot,
            inference_p50_ms=0,
            inference_p95_ms=0,
            cpu_ratio=0,
            rss_bytes=resources.rss_bytes(),
            temperature_c=None,
            outbox_rows=0,
            outbox_oldest_age_s=0,
            dropped=0,
            source="room",
            clock_synced=True,
            baseline=baseline,
        )


def _uar(found: Sequence[tuple[int, int, int]], column: int) -> float | None:
    if not found:
        return None
    table = np.array(found)
    return evaluate.uar(table[:, column], table[:, 0])


def _percent(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f} %"


if __name__ == "__main__":
    main()
