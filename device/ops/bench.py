"""`moodwire device bench`: what a device costs on this machine, without broker and server."""

import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np
import typed_settings as ts

import models.bundle
from device.audio.clip_player import Clips
from device.audio.source import Block
from device.errors import UNUSABLE
from device.inference import voice_detector
from device.inference.noise_floor import FRAME_SAMPLES, NoiseFloor
from device.inference.pipeline import windows
from device.inference.speech_gate import SpeechGate
from device.settings import DeviceSettings
from device.system import resources
from models.bundle import Bundle, Manifest
from models.frontend import Frames, LogMelStream, Samples
from models.runtime import Classifier, Scores, load_verified, synthetic_clip

WARM_UP_WINDOWS = 50
"""Run first and not counted, until caches, the processor's clock and lazy initialisation have settled."""
COUNTED_WINDOWS = 500
QUIET_DEVIATION = 18.0
"""Of the hiss of a quiet room: -65 dBFS."""
_BOARD = Path("/proc/device-tree/model")
_PROCESSOR = Path("/proc/cpuinfo")

Row = tuple[str, str]
A = TypeVar("A")
T = TypeVar("T")


@ts.settings(frozen=True)
class BenchSettings(DeviceSettings):
    """Settings of `moodwire device bench`."""

    markdown: bool = ts.option(default=False, help="print the table as Markdown")


_RUNTIMES = {
    "litert": ("LiteRT", "ai-edge-litert"),
    "onnx": ("ONNX Runtime", "onnxruntime"),
    "openvino": ("OpenVINO", "openvino"),
}
"""Name and package of each value of the setting `runtime`."""


class _Stopwatch:
    """Durations of one stage, including the warm-up."""

    def __init__(self) -> None:
        self._ms: list[float] = []

    def time(self, action: Callable[[A], T], argument: A) -> T:
        """Do something, and keep how long it took."""
        start_s = time.perf_counter()
        result = action(argument)
        self._ms.append((time.perf_counter() - start_s) * 1000)
        return result

    def __str__(self) -> str:
        """Return the 50th, 95th and 99th percentile of the durations after the warm-up."""
        if not self._ms[WARM_UP_WINDOWS:]:
            return "not run: nothing was taken for speech"
        p50, p95, p99 = np.percentile(self._ms[WARM_UP_WINDOWS:], [50, 95, 99])
        return f"{p50:.2f} / {p95:.2f} / {p99:.2f} ms"


def bench(settings: BenchSettings) -> int:
    """Run windows through the pipeline one after the other, as fast as it goes, and print a table.

    The sound is that of the setting `clips`, or synthetic without it, repeated until there are enough windows.
    """
    try:
        bundle, classifier = load_verified(models.bundle.find(settings.model), settings.runtime)
        sound = _clips(settings, bundle.manifest) if settings.clips else synthetic_clip(160_000)
    except UNUSABLE as error:
        print(error, file=sys.stderr)
        return 2
    ready_s, ready_bytes = resources.process_age_s(), resources.rss_bytes()
    rows = [
        ("machine", machine()),
        ("software", f"Python {platform.python_version()}, {_runtime(settings.runtime)}, NumPy {np.__version__}"),
        ("model", f"{bundle.manifest.name}, {len(bundle.model)} bytes, one thread"),
        ("ready after process start", f"{ready_s:.2f} s" if ready_s is not None else "unknown (no /proc)"),
        ("first reading after that", f"{bundle.manifest.window_ms / 1000:.0f} s of sound later"),
        ("resident memory when ready", f"{ready_bytes / 1e6:.0f} MB"),
        *_time_windows(bundle, classifier, sound, settings.gate_dbfs),
        *_time_stages(bundle.manifest, sound, settings.gate_dbfs),
        _quiet_room(bundle.manifest),
        ("resident memory at the end", f"{resources.rss_bytes() / 1e6:.0f} MB"),
    ]
    print(_markdown(rows) if settings.markdown else _text(rows))
    return 0


def _runtime(name: str) -> str:
    title, package = _RUNTIMES[name]
    return f"{title} {version(package)}"


def _clips(settings: BenchSettings, manifest: Manifest) -> Samples:
    """Return as much of the clips as is played.

    Raises:
        SourceError: there is nothing that can be played.
    """
    pieces, missing = [], _hop_count(manifest) * manifest.hop_samples
    for piece in Clips(Path(settings.clips), settings.channel_number).play(loop=False):
        pieces.append(piece)
        missing -= len(piece)
        if missing <= 0:
            break
    return np.concatenate(pieces)


def machine() -> str:
    """Return the name of the board, or else of the processor, with how many cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = _first_match(_BOARD, r"(.+?)\0*$") or _first_match(_PROCESSOR, r"(?m)^model name\s*: (.+)$")
    return f"{name or platform.machine()}, {cores} cores, {platform.machine()}"


def _first_match(path: Path, pattern: str) -> str | None:
    try:
        found = re.search(pattern, path.read_text(errors="replace"))
    except OSError:
        return None
    return found[1] if found else None


def _time_windows(bundle: Bundle, classifier: Classifier, sound: Samples, gate_dbfs: float | None) -> list[Row]:
    """Time windows as the device computes them."""
    manifest = bundle.manifest
    whole, model = _Stopwatch(), _Stopwatch()
    heard = windows(_hops(sound, manifest), manifest, lambda frames: model.time(classifier.scores, frames), gate_dbfs)
    for _ in range(WARM_UP_WINDOWS):
        whole.time(next, heard)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    states = [whole.time(next, heard).state for _ in range(COUNTED_WINDOWS)]
    cpu_ms = (time.process_time() - cpu_s) * 1000 / len(states)
    wall_ms = (time.perf_counter() - wall_s) * 1000 / len(states)
    share = cpu_ms / manifest.hop_ms
    return [
        ("windows", f"{len(states)}, {len(states) - states.count('silent')} with speech; {WARM_UP_WINDOWS} to warm up"),
        ("windows per second", f"{1000 / wall_ms:.0f}"),
        ("one window, p50 / p95 / p99", str(whole)),
        ("- of that, the model", str(model)),
        ("processor time", f"{cpu_ms:.2f} ms a window, {share:.2%} of a core at a hop of {manifest.hop_ms} ms"),
    ]


def _time_stages(manifest: Manifest, sound: Samples, gate_dbfs: float | None) -> list[Row]:
    """Time each stage before the model alone, on the same sound; the voice detector as if all of it were loud."""
    front_end, gate, voice = _Stopwatch(), _Stopwatch(), _Stopwatch()
    log_mel, speech = LogMelStream(manifest.front_end), SpeechGate(gate_dbfs, NoiseFloor())
    detector = voice_detector.create(manifest.window_samples)
    loud = np.ones(manifest.window_samples // FRAME_SAMPLES, np.bool_)
    for hop in _hops(sound, manifest):
        front_end.time(log_mel.push, hop.samples)
        gate.time(speech.push, hop.samples)
        if detector:
            detector.push(hop.samples)
            voice.time(detector.hears_voice, loud)
    told = str(voice) if detector else "pymicro-vad is not installed: music may be taken for speech"
    return [("- front end, alone", str(front_end)), ("- speech gate, alone", str(gate)), ("- voice detector", told)]


def _quiet_room(manifest: Manifest) -> Row:
    """Measure what listening costs while nobody speaks."""
    hiss = np.rint(np.random.default_rng(1).normal(0, QUIET_DEVIATION, 160_000)).astype(np.int16)
    heard = windows(_hops(hiss, manifest), manifest, _no_speech, None)
    for _ in range(WARM_UP_WINDOWS):
        next(heard)
    cpu_s = time.process_time()
    for _ in range(COUNTED_WINDOWS):
        next(heard)
    cpu_ms = (time.process_time() - cpu_s) * 1000 / COUNTED_WINDOWS
    return "in a quiet room", f"{cpu_ms:.2f} ms a window, {cpu_ms / manifest.hop_ms:.2%} of a core"


def _no_speech(_frames: Frames) -> Scores:
    raise AssertionError("hiss was taken for speech")


def _hops(sound: Samples, manifest: Manifest) -> Iterator[Block]:
    """Yield hops of the sound, repeated, dated from 1970 on."""
    length = manifest.hop_samples
    # The beginning once more at the end, so that a hop can wrap around without a copy of all that is played.
    looped = np.resize(sound, max(len(sound), length) + length)
    for number in range(_hop_count(manifest)):
        start = number * length % (len(looped) - length)
        yield Block(looped[start : start + length], (number + 1) * manifest.hop_ms)


def _hop_count(manifest: Manifest) -> int:
    return WARM_UP_WINDOWS + COUNTED_WINDOWS + manifest.window_samples // manifest.hop_samples


def _text(rows: list[Row]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _markdown(rows: list[Row]) -> str:
    return "\n".join(["| what | measured |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
