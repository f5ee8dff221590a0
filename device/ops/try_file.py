"""`moodwire device try FILE`: what a device would hear in a recording, window by window, without broker and server."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import typed_settings as ts

import models.bundle
from common.audio_files import AudioFile, AudioFileError
from device.audio.source import SAMPLE_RATE_HZ, Block
from device.inference.pipeline import Window, windows
from models.bundle import BundleError, Manifest
from models.frontend import Samples
from models.runtime import load_verified

HEARD = {"silent": "nobody speaks", "noise": "loud, and no voice"}
"""States without scores, for people."""


@ts.settings(frozen=True)
class TrySettings:
    """Settings of `moodwire device try`."""

    file: str = ts.option(
        default="",
        help="recording to listen to: WAV, FLAC, OGG, MP3 or AIFF",
        argparse={"param_decls": "file", "nargs": "?", "metavar": "FILE"},
    )
    model: str = ts.option(default=models.bundle.DEFAULT, help="name of a shipped bundle, or the folder of one")


def try_file(settings: TrySettings) -> int:
    """Print what each window of a recording is taken for; return the exit code, 2 for bad input.

    A recording shorter than a window is heard in the middle of one, as in training. There is no baseline.
    """
    if not settings.file:
        print("moodwire device try: name a recording: moodwire device try FILE", file=sys.stderr)
        return 2
    try:
        made, classifier = load_verified(models.bundle.find(settings.model))
        with AudioFile(Path(settings.file)) as file:
            samples = file.read(SAMPLE_RATE_HZ)
    except (AudioFileError, BundleError) as error:
        print(f"moodwire device try: {error}", file=sys.stderr)
        return 2
    manifest = made.manifest
    print(f"{manifest.name}, {len(samples) / SAMPLE_RATE_HZ:.1f} s")
    sound, begin = _whole(samples, manifest)
    found = list(windows(_hops(sound, manifest), manifest, classifier.scores, None))
    for window in found:
        print(_line(window, manifest, begin, len(samples)))
    print(_summary(found, manifest))
    return 0


def _whole(samples: Samples, manifest: Manifest) -> tuple[Samples, int]:
    """Return the sound in whole hops, at least a window, and in which sample of it the recording begins."""
    before = max(0, manifest.window_samples - len(samples)) // 2
    hop, least = manifest.hop_samples, max(len(samples), manifest.window_samples)
    whole = np.zeros(-(-least // hop) * hop, np.int16)
    whole[before : before + len(samples)] = samples
    return whole, before


def _hops(sound: Samples, manifest: Manifest) -> Iterator[Block]:
    hop = manifest.hop_samples
    for end in range(hop, len(sound) + 1, hop):
        yield Block(sound[end - hop : end], end * 1000 // SAMPLE_RATE_HZ)


def _line(window: Window, manifest: Manifest, begin: int, length: int) -> str:
    end_s = window.end_ms / 1000 - begin / SAMPLE_RATE_HZ
    first, last = max(0.0, end_s - manifest.window_ms / 1000), min(end_s, length / SAMPLE_RATE_HZ)
    when = f"{first:6.1f} to {last:5.1f} s"
    if window.smoothed is None:
        return f"{when}  {HEARD[window.state]}"
    scores = "  ".join(f"{label} {score:4.0%}" for label, score in zip(manifest.labels, window.smoothed, strict=True))
    return f"{when}  {_answer(window):<9}  {scores}"


def _answer(window: Window) -> str:
    """Return the label of a window, or that it is uncertain."""
    return window.top if window.state == "speech" and window.top else window.state


def _summary(found: list[Window], manifest: Manifest) -> str:
    answers = [_answer(window) for window in found if window.smoothed is not None]
    if not answers:
        return "no speech was heard"
    counts = {name: answers.count(name) for name in (*manifest.labels, "uncertain")}
    parts = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    return f"of {len(answers)} window{'s' * (len(answers) != 1)} with speech: {parts}"
