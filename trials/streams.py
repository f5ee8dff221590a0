"""A model on streams, as a device hears them: `python -m trials.streams BUNDLE`.

Clips of speakers that the model never heard (its manifest names them) follow each other with pauses between, one stream
for each speaker, and the whole lies in noise that goes on through the pauses: there is no digital silence anywhere. The
stream goes through the device's own pipeline: speech gate, log-mel, int8 model, smoothing, `uncertain`. A window is
judged by the clip of which it holds most, if that is at least a second; one that holds a second of two clips with
different labels has no single truth and is left out. False alarms are windows that the device publishes though nobody
spoke in them, per hour of such windows; the certain ones are not `uncertain`.
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
"""At the end of each stream nobody speaks for so long."""
LEAST_S = 1.0
"""A window holds at least so much of the clip that it is judged by."""
NOISE_SAMPLES = 1 << 20
"""The noise repeats after 65 s; a power of two, as `backgrounds` makes it by FFT."""
NOBODY, UNCLEAR = -1, -2
BLOCK = 1_600
"""Samples handed over at once; the pipeline's answers do not depend on it."""


class Stream(NamedTuple):
    """Clips of one speaker, in noise."""

    samples: Samples
    truth: np.ndarray
    """Class of each sample, `NOBODY` in pauses, shape (samples,)."""


class Heard(NamedTuple):
    """What the device made of the windows of many streams; all arrays are as long as there are windows."""

    spoken: np.ndarray
    """Class of the clip that fills at least a second; else `NOBODY` or `UNCLEAR`."""
    state: np.ndarray
    scores: np.ndarray
    """Of the window alone, shape (windows, labels); NaN when silent."""
    smoothed: np.ndarray


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m trials.streams")
    parser.add_argument("bundle", help="folder of a fold's bundle; what is shipped has heard all speakers")
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
            print(f"{name:<14} {snr_db:>3} dB  {tell(hear(streams, made), made.manifest)}", flush=True)


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
    whole, said = (
        np.concatenate([*parts, np.zeros(rest, np.int16)]),
        np.concatenate([*truth, np.full(rest, NOBODY, np.int8)]),
    )
    noise = np.resize(make(whole[said >= 0], NOISE_SAMPLES, rng, snr_db), len(whole))
    return Stream(np.rint(whole + noise).clip(-32_768, 32_767).astype(np.int16), said)


def hear(streams: Iterable[Stream], made: Bundle) -> Heard:
    """Let the device's pipeline listen to each stream from its beginning."""
    manifest = made.manifest
    classify = Classifier(made).scores
    nothing = np.full(len(manifest.labels), np.nan)
    rows = []
    for one in streams:
        for window in windows(_blocks(one.samples), manifest, classify, DeviceSettings().gate_dbfs):
            end = window.end_ms * SAMPLE_RATE_HZ // 1000
            spoken = _spoken(one.truth[end - manifest.window_samples : end], len(manifest.labels))
            judged = (window.scores, window.smoothed) if window.scores is not None else (nothing, nothing)
            rows.append((spoken, window.state, *judged))
    return Heard(*(np.array(column) for column in zip(*rows, strict=True)))


def tell(heard: Heard, manifest: Manifest) -> str:
    """Return the figures of one line."""
    speech = heard.spoken >= 0
    published = heard.state != "silent"
    judged = speech & published
    truth, scores, smoothed = heard.spoken[judged], heard.scores[judged], heard.smoothed[judged]
    certain = heard.state[judged] == "speech"
    idle = heard.spoken == NOBODY
    hours = idle.sum() * manifest.hop_ms / 3_600_000
    return (
        f"{len(truth):>7}  {judged.sum() / speech.sum():>6.1%}  {evaluate.uar(scores.argmax(axis=1), truth):>13.1%}  "
        f"{evaluate.uar(smoothed.argmax(axis=1), truth):>12.1%}  {evaluate.calibration_error(scores, truth):.3f}  "
        f"{certain.mean():>8.1%}  {evaluate.uar(smoothed[certain].argmax(axis=1), truth[certain]):>21.1%}  "
        f"{(idle & published).sum() / hours:>20.0f}  {(idle & (heard.state == 'speech')).sum() / hours:>7.0f}"
    )


def _blocks(samples: Samples) -> Iterator[Block]:
    for begin in range(0, len(samples) - BLOCK + 1, BLOCK):
        yield Block(samples[begin : begin + BLOCK], (begin + BLOCK) * 1000 // SAMPLE_RATE_HZ)


def _spoken(truth: np.ndarray, labels: int) -> int:
    """Return the class of a window, -1 where nobody speaks, -2 where that cannot be said."""
    if (truth < 0).all():
        return NOBODY
    lengths = np.bincount(truth[truth >= 0], minlength=labels) / SAMPLE_RATE_HZ
    return int(lengths.argmax()) if (lengths >= LEAST_S).sum() == 1 else UNCLEAR


if __name__ == "__main__":
    main()
