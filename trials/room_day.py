"""A day in one room, hour by hour: `python -m trials.room_day [BUNDLE] [--minutes 3]`.

Three actors of RAVDESS, who are strangers to the model, talk with pauses, 70 % of it neutral; there are silence, music,
talk over music, a quarrel, and another microphone from 15 o'clock on. Of each hour the first minutes are played, and
the clock jumps over the rest. The device's pipeline, baseline, recorder, outbox and session are real, and so are
Mosquitto, ingest, the store and REST behind them, from which the counts, the shares and the state of the baseline are
read back. UAR is over the windows that hold a second of one clip: of the model's own scores, and after the baseline.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

import models.bundle
from broker.messages import Health, Status
from device.audio.source import SAMPLE_RATE_HZ, Block
from device.delivery.outbox import Limits, Outbox, Owner
from device.delivery.recorder import Recorder
from device.delivery.session import Session
from device.delivery.timestamps import Timestamps
from device.inference.baseline import Adjusted, Baseline, Origin
from device.inference.pipeline import Window, windows
from device.settings import DeviceSettings
from device.system import identity, resources
from models.frontend import Samples
from models.runtime import Classifier, Scores, synthetic_clip
from training import backgrounds, catalogue, corpora, evaluate
from training.corpora import Clip
from trials.device_day import Clock
from trials.processes import PASSWORD, PATIENCE_S, wait_until
from trials.services import ROOT, Services, serving
from trials.streams import BLOCK, NOBODY, telephone, truth_of

DEVICE = "020000000001"
HOUR_MS = 3_600_000
ROOM_DBFS, MUSIC_DBFS = -62.0, -38.0
SPEECH_DBFS = -30.0
"""Of all clips of an actor together; angry ones are louder than even ones, as they were recorded."""
CALM, QUARREL = 0.7, 0.1
"""Shares of neutral speech; the other labels are alike, in a quarrel all else is anger."""


class Hour(NamedTuple):
    """What happens in an hour."""

    title: str
    voices: tuple[int, ...] = ()
    """Which of the actors talk."""
    music: bool = False
    neutral: float = CALM


DAY = (
    *(Hour("night") for _ in range(6)),
    Hour("A", (0,)),
    Hour("A", (0,)),
    Hour("A, B", (0, 1)),
    Hour("nobody"),
    Hour("music", music=True),
    Hour("A", (0,)),
    Hour("A, B, C", (0, 1, 2)),
    Hour("C", (2,)),
    Hour("A, B", (0, 1)),
    Hour("A, other microphone", (0,)),
    Hour("A, B", (0, 1)),
    Hour("A over music", (0,), music=True),
    Hour("A, B, C", (0, 1, 2)),
    Hour("A quarrels", (0,), neutral=QUARREL),
    Hour("B", (1,)),
    Hour("music", music=True),
    Hour("A", (0,)),
    Hour("nobody"),
)
OTHER_MICROPHONE = 15
"""Hour from which on another microphone hears."""


def main() -> None:
    """Play the day and print a line for each hour."""
    parser = argparse.ArgumentParser(prog="python -m trials.room_day")
    parser.add_argument("bundle", nargs="?", default=models.bundle.DEFAULT)
    parser.add_argument("--minutes", type=float, default=3.0, help="how much of each hour is played")
    parser.add_argument("--recordings-dir", type=Path, default=ROOT.parent / "shared" / "data")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "services", [DEVICE]) as services:
        room = _Room(services, Path(folder) / "state", asked.bundle, asked.recordings_dir)
        try:
            room.print_head()
            for number, hour in enumerate(DAY):
                room.play(number, hour, asked.minutes)
        finally:
            room.close()
        room.print_sum()


class _Room:
    """The room, the device in it, and what it has heard so far."""

    def __init__(self, services: Services, state: Path, bundle: str, recordings_dir: Path) -> None:
        self._services = services
        self._bundle = models.bundle.load(models.bundle.find(bundle))
        self._classifier = Classifier(self._bundle)
        manifest = self._bundle.manifest
        clips = catalogue.CORPORA["ravdess"].read(recordings_dir, manifest.labels)
        actors = sorted({clip.speaker for clip in clips})[:3]
        self._voices = [_Voice([clip for clip in clips if clip.speaker == actor]) for actor in actors]
        self._rng = np.random.default_rng(7)
        now_ms = time.time_ns() // 1_000_000
        self._clock = Clock(now_ms // HOUR_MS * HOUR_MS - len(DAY) * HOUR_MS)
        self._start_ms = self._clock.now_ms()
        status = Status(
            state="online",
            boot=identity.new_boot(),
            connection=0,
            name="Room",
            labels=manifest.labels,
            model=manifest.name,
            version=version("moodwire"),
        )
        self._boot = status.boot
        owner, limits = Owner(DEVICE, identity.machine()), Limits(500_000, 256_000_000, 30 * 86_400)
        self._outbox = Outbox(state / "outbox.sqlite", owner, limits, Timestamps(0.0, self._clock))
        settings = DeviceSettings(mqtt_url=services.mqtt_url, mqtt_password=PASSWORD, state_dir=state)
        self._session = Session(settings, DEVICE, status, self._outbox, lambda *_: None)
        self._recorder = Recorder(self._outbox, status.boot, manifest)
        self._baseline = Baseline(state, on=True, half_life_min=settings.baseline_half_life_min)
        self._session.start()
        self._cold: Scores | None = None
        self._found: list[tuple[int, int, int]] = []
        """Truth, best label of the model alone, and after the baseline, of each window with speech of one clip."""

    def play(self, number: int, hour: Hour, minutes: float) -> None:
        """Let the device hear the first minutes of an hour, wait until all is stored, and print what REST says."""
        manifest = self._bundle.manifest
        samples, truth = self._sound(number, hour, round(minutes * 60 * SAMPLE_RATE_HZ))
        source = "room" if number < OTHER_MICROPHONE else "other"
        origin = Origin(model=manifest.model_sha256, source=source, generation=self._recorder.generation, forgotten=0)
        self._baseline.use(manifest, origin)
        begin_ms = self._clock.played_ms = number * HOUR_MS
        states, found = [], []
        blocks = self._blocks(samples, begin_ms)
        window: Window | None = None
        for window in windows(blocks, manifest, self._classifier.scores, None, self._adjust):
            self._recorder.add(window, 0)
            states.append(window.state)
            end = (window.end_ms - begin_ms) * SAMPLE_RATE_HZ // 1000
            label = truth_of(truth[end - manifest.window_samples : end], len(manifest.labels))
            if window.scores is not None and label >= 0 and self._cold is not None:
                found.append((label, int(self._cold.argmax()), int(window.scores.argmax())))
        assert window is not None
        self._recorder.close_minute(window.end_ms, 0)
        self._session.notify()
        if self._session.drain(PATIENCE_S):
            raise SystemExit(f"the server has not confirmed within {PATIENCE_S:.0f} s")
        self._session.publish_health(self._health())
        self._found += found
        self._print(number, hour, states, found)

    def close(self) -> None:
        """Close the session and the outbox."""
        self._session.stop()
        self._outbox.close()

    def print_head(self) -> None:
        """Print what the columns are."""
        labels = "".join(f"{label:>6}" for label in self._bundle.manifest.labels)
        print(f"{self._bundle.manifest.name}; windows, and of all readings the shares that REST tells")
        print(f"hour  {'':<22}silent  noise  readings  uncertain{labels}  baseline  UAR cold  after")

    def print_sum(self) -> None:
        """Print the UAR of the whole day, and what is stored."""
        records, readings, missing = self._services.kept(DEVICE)
        print(f"day   UAR {_uar(self._found, 1)} cold, {_uar(self._found, 2)} after the baseline")
        print(f"store {records} records, of them {readings} readings, {missing} missing")
        if missing:
            raise SystemExit("the store lacks records")

    def _print(self, number: int, hour: Hour, states: Sequence[str], found: Sequence[tuple[int, int, int]]) -> None:
        start_s = (self._start_ms + number * HOUR_MS) / 1000
        summary = self._services.get(f"/devices/{DEVICE}/summary", start=start_s, end=start_s + HOUR_MS / 1000)
        told = self._baseline.health()
        assert told is not None
        wait_until(lambda: self._heard() == told.heard, "REST tells the baseline")
        shares = "".join(
            _share(summary["labels"].get(label, {}).get("share")) for label in self._bundle.manifest.labels
        )
        print(
            f"{number:>2}    {hour.title:<22}{states.count('silent'):>6} {states.count('noise'):>6} "
            f"{summary['readings']:>9}  {_share(summary['uncertain']['share']):>9}{shares}  "
            f"{told.heard:>3}/{told.wanted}   {_uar(found, 1):>8} {_uar(found, 2):>6}",
            flush=True,
        )

    def _heard(self) -> int | None:
        baseline = self._services.get(f"/devices/{DEVICE}")["baseline"]
        return baseline and int(baseline["heard"])

    def _adjust(self, scores: Scores) -> Adjusted | None:
        self._cold = scores
        return self._baseline.adjust(scores)

    def _blocks(self, samples: Samples, begin_ms: int) -> Iterator[Block]:
        for start in range(0, len(samples) - BLOCK + 1, BLOCK):
            end_ms = begin_ms + (start + BLOCK) * 1000 // SAMPLE_RATE_HZ
            self._clock.played_ms = end_ms
            yield Block(samples[start : start + BLOCK], end_ms, after_gap=start == 0)

    def _sound(self, number: int, hour: Hour, length: int) -> tuple[Samples, np.ndarray]:
        """Return the sound of an hour, and the label of each sample."""
        rng, labels = self._rng, self._bundle.manifest.labels
        clean, truth, place = np.zeros(length), np.full(length, NOBODY, np.int8), SAMPLE_RATE_HZ
        while hour.voices:
            voice = self._voices[hour.voices[int(rng.integers(len(hour.voices)))]]
            others = ["ANG"] if hour.neutral == QUARREL else [label for label in labels if label != "NEU"]
            label = "NEU" if rng.random() < hour.neutral else str(rng.choice(others))
            clip = voice.say(label, rng)
            if place + len(clip) > length:
                break
            clean[place : place + len(clip)] = clip
            truth[place : place + len(clip)] = labels.index(label)
            place += len(clip) + int(rng.uniform(0.3, 3.0) * SAMPLE_RATE_HZ)
        sound = clean + _at(backgrounds.pink(synthetic_clip(SAMPLE_RATE_HZ), length, rng), ROOM_DBFS)
        if hour.music:
            sound += _at(backgrounds.music(synthetic_clip(SAMPLE_RATE_HZ), length, rng), MUSIC_DBFS)
        if number >= OTHER_MICROPHONE:
            sound = telephone(sound) / 4 + rng.normal(0, 12, length)
        return np.rint(sound).clip(-32_768, 32_767).astype(np.int16), truth

    def _health(self) -> Health:
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
            baseline=self._baseline.health(),
        )


class _Voice:
    """An actor's clips, all by the same gain.

    Args:
        clips: of one speaker.
    """

    def __init__(self, clips: Sequence[Clip]) -> None:
        read = [(clip.label, corpora.read_audio(clip, SAMPLE_RATE_HZ)) for clip in clips]
        level = np.concatenate([samples for _, samples in read]).std(dtype=np.float64)
        gain = 32_768 * 10 ** (SPEECH_DBFS / 20) / level
        self._by_label: dict[str, list[np.ndarray]] = {}
        for label, samples in read:
            self._by_label.setdefault(label, []).append(samples * gain)

    def say(self, label: str, rng: np.random.Generator) -> np.ndarray:
        """Return one of the clips with a label."""
        return self._by_label[label][int(rng.integers(len(self._by_label[label])))]


def _at(noise: np.ndarray, dbfs: float) -> np.ndarray:
    """Return noise with this RMS level."""
    scaled: np.ndarray = noise * (32_768 * 10 ** (dbfs / 20) / noise.std())
    return scaled


def _uar(found: Sequence[tuple[int, int, int]], column: int) -> str:
    if not found:
        return "-"
    table = np.array(found)
    return f"{evaluate.uar(table[:, column], table[:, 0]):.1%}"


def _share(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.0%'):>6}"


if __name__ == "__main__":
    main()
