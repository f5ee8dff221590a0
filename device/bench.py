"""`moodwire device bench`: what the device costs on this machine, without broker and server."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import models.bundle
from device import clips, health
from device.commands import UNUSABLE
from device.pipeline import windows
from device.settings import DeviceSettings
from device.sound import Block
from models.bundle import Manifest
from models.frontend import Samples
from models.runtime import Classifier, synthetic_clip

LEAST_WINDOWS = 500


def bench(settings: DeviceSettings) -> int:
    """Run windows through the pipeline as fast as it goes and print a table.

    The sound is the `clips` setting's, else synthetic; it is repeated until there are 500 windows.
    """
    try:
        bundle = models.bundle.load(models.bundle.find(settings.model))
        classifier = Classifier(bundle)
        classifier.verify()
        sound = np.concatenate(clips.load(Path(settings.clips))) if settings.clips else synthetic_clip(160_000)
    except UNUSABLE as error:
        print(error, file=sys.stderr)
        return 2
    ready_s = health.process_age_s()
    ready_rss = health.rss_bytes()
    timings, states = [], []
    start_cpu_s = time.process_time()
    start_s = time.perf_counter()
    for window in windows(_hops(sound, bundle.manifest), bundle.manifest, classifier.scores, settings.gate_dbfs):
        now_s = time.perf_counter()
        timings.append((now_s - start_s) * 1000)
        states.append(window.state)
        start_s = now_s
    cpu_ms = (time.process_time() - start_cpu_s) * 1000 / len(timings)
    p50, p95, p99 = np.percentile(timings[1:], [50, 95, 99])  # the first window includes the sound before it
    hop_ms = bundle.manifest.hop_ms
    rows = [
        ("model", f"{bundle.manifest.name}, {len(bundle.model)} bytes"),
        ("ready after process start", f"{ready_s:.2f} s" if ready_s is not None else "unknown (no /proc)"),
        ("first reading after that", f"{bundle.manifest.window_ms / 1000:.0f} s of sound later"),
        ("resident memory when ready", f"{ready_rss / 1e6:.0f} MB"),
        ("resident memory at the end", f"{health.rss_bytes() / 1e6:.0f} MB"),
        ("windows", f"{len(timings)}, of them {len(states) - states.count('silent')} with speech"),
        ("one window, all of it", f"{p50:.2f} ms median, {p95:.2f} ms p95, {p99:.2f} ms p99"),
        (
            "processor time of all threads",
            f"{cpu_ms:.2f} ms a window, {cpu_ms / hop_ms:.2%} of a core at a hop of {hop_ms} ms",
        ),
    ]
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{width}}  {value}" for name, value in rows))
    return 0


def _hops(sound: Samples, manifest: Manifest) -> Iterator[Block]:
    """Yield the sound hop by hop, again and again, dated as if it were played from 1970 on."""
    count = LEAST_WINDOWS + manifest.window_samples // manifest.hop_samples
    repeated = np.resize(sound, count * manifest.hop_samples)
    for number in range(count):
        start = number * manifest.hop_samples
        yield Block(repeated[start : start + manifest.hop_samples], (number + 1) * manifest.hop_ms)
