"""A model on continuous sound: `python -m trials.streams BUNDLE`.

One stream for each speaker that the model never heard (its manifest names them): clips with pauses between, in noise
that goes on through the pauses, so there is no digital silence anywhere. The stream goes through the device's pipeline:
speech gate, log-mel, int8 model, smoothing, `uncertain`. The label of a window is that of the clip of which it holds
most, if that is at least a second; windows with a second of two clips with different labels are left out. False alarms
are windows that the device publishes though nobody speaks in them, per hour of such windows; the certain ones are not
`uncertain`.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import models.bundle
from device.audio.source import SAMPLE_RATE_HZ, Block
from device.inference.pipeline import windows
from device.settings import DeviceSettings
from models.bundle import Bundle, Manifest
from models.frontend import Samples
from models.runtime import Classifier
from training import backgrounds, corpora, evaluate, score, splits
from training.backgrounds import Noise
from training.corpora import Clip

SNRS_DB = (30, 20, 10, 5, 0)
"""How far the noise is below the mean power of the clips."""
NOISES = {"pink noise": backgrounds.pink, "many voices": backgrounds.voices}
PAUSE_S = (1.0, 8.0)
"""Shortest and longest pause between two clips."""
REST_S = 60
"""Pause at the end of each stream."""
LEAST_S = 1.0
"""A window has the label of a clip if it holds at least this much of it."""
NOISE_SAMPLES = 1 << 20
"""The noise repeats after 65 s; a power of two, as `backgrounds` makes it by FFT."""
NOBODY, UNCLEAR = -1, -2
BLOCK = 1_600
"""Samples in a block; the pipeline's output does not depend on it."""


class Stream(NamedTuple):
    """Clips of one speaker, in noise."""

    samples: Samples
    truth: np.ndarray
    """Class of each sample, `NOBODY` in pauses, shape (samples,)."""


class Classified(NamedTuple):
    """Output of the device's pipeline for the windows of many streams; one row of each array for each window."""

    truth: np.ndarray
    """Class of the clip that fills at least a second; else `NOBODY` or `UNCLEAR`."""
    state: np.ndarray
    scores: np.ndarray
    """Of the window alone, shape (windows, labels); NaN when silent."""
    smoothed: np.ndarray


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m trials.streams")
    parser.add_argument("bundle", help="folder of a fold's bundle; the shipped ones were trained on all speakers")
    parser.add_argument("--recordings-dir", type=Path, default=Path("../shared/data"))
    asked = parser.parse_args()
    made = models.bundle.load(models.bundle.find(asked.bundle))
    test = score.unheard(corpora.read_clips(asked.recordings_dir, made.manifest.labels), made)
    speakers = splits.speakers(test)
    print(f"{made.manifest.name}, {len(speakers)} speakers it never heard, {len(test)} clips")
    print(
        "noise           SNR  windows   heard            UAR  UAR smoothed  ECE    coverage  UAR without uncertain  "
        "false alarms an hour  certain"
    )
    for name, make in NOISES.items():
        for snr_db in SNRS_DB if name == "pink noise" else SNRS_DB[1:]:
            streams = (
                stream([clip for clip in test if clip.speaker == speaker], made.manifest, make, snr_db)
                for speaker in speakers
            )
            print(f"{name:<14} {snr_db:>3} dB  {line(classify(streams, made), made.manifest)}", flush=True)


def stream(clips: Sequence[Clip], manifest: Manifest, make: Callable[..., Noise], snr_db: float) -> Stream:
    """Return a speaker's clips in random order, with pauses, in noise; the same each time."""
    rng = np.random.default_rng(clips[0].speaker)
    parts, truth = [], []
    for number in rng.permutation(len(clips)):
        pause = int(rng.uniform(*PAUSE_S) * SAMPLE_RATE_HZ)
        samples = corpora.read_audio(clips[number], SAMPLE_RATE_HZ)
        parts += [np.zeros(pause, np.int16), samples]
        truth += [
            np.full(pause, NOBODY, np.int8),
            np.full(len(samples), manifest.labels.index(clips[number].label), np.int8),
        ]
    rest = REST_S * SAMPLE_RATE_HZ
    clean = np.concatenate([*parts, np.zeros(rest, np.int16)])
    classes = np.concatenate([*truth, np.full(rest, NOBODY, np.int8)])
    noise = np.resize(make(clean[classes >= 0], NOISE_SAMPLES, rng, snr_db), len(clean))
    return Stream(np.rint(clean + noise).clip(-32_768, 32_767).astype(np.int16), classes)


def classify(streams: Iterable[Stream], made: Bundle) -> Classified:
    """Return what the device's pipeline makes of each stream from its beginning."""
    manifest = made.manifest
    classifier = Classifier(made)
    silent = np.full(len(manifest.labels), np.nan)
    rows = []
    for stream in streams:
        for window in windows(_blocks(stream.samples), manifest, classifier.scores, DeviceSettings().gate_dbfs):
            end = window.end_ms * SAMPLE_RATE_HZ // 1000
            truth = _class(stream.truth[end - manifest.window_samples : end], len(manifest.labels))
            scores = (window.scores, window.smoothed) if window.scores is not None else (silent, silent)
            rows.append((truth, window.state, *scores))
    return Classified(*(np.array(column) for column in zip(*rows, strict=True)))


def line(found: Classified, manifest: Manifest) -> str:
    """Return the figures of one line."""
    speech = found.truth >= 0
    published = found.state != "silent"
    scored = speech & published
    truth, scores, smoothed = found.truth[scored], found.scores[scored], found.smoothed[scored]
    certain = found.state[scored] == "speech"
    idle = found.truth == NOBODY
    hours = idle.sum() * manifest.hop_ms / 3_600_000
    return (
        f"{len(truth):>7}  {scored.sum() / speech.sum():>6.1%}  {evaluate.uar(scores.argmax(axis=1), truth):>13.1%}  "
        f"{evaluate.uar(smoothed.argmax(axis=1), truth):>12.1%}  {evaluate.calibration_error(scores, truth):.3f}  "
        f"{certain.mean():>8.1%}  {evaluate.uar(smoothed[certain].argmax(axis=1), truth[certain]):>21.1%}  "
        f"{(idle & published).sum() / hours:>20.0f}  {(idle & (found.state == 'speech')).sum() / hours:>7.0f}"
    )


def _blocks(samples: Samples) -> Iterator[Block]:
    for begin in range(0, len(samples) - BLOCK + 1, BLOCK):
        yield Block(samples[begin : begin + BLOCK], (begin + BLOCK) * 1000 // SAMPLE_RATE_HZ)


def _class(truth: np.ndarray, labels: int) -> int:
    """Return the class of a window, `NOBODY` where nobody speaks, `UNCLEAR` where it has none or two."""
    if (truth < 0).all():
        return NOBODY
    lengths = np.bincount(truth[truth >= 0], minlength=labels) / SAMPLE_RATE_HZ
    return int(lengths.argmax()) if (lengths >= LEAST_S).sum() == 1 else UNCLEAR


if __name__ == "__main__":
    main()
