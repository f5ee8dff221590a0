"""A model on continuous sound: `python -m trials.streams BUNDLE [--corpus NAME] [--speakers N]`.

One stream for each speaker: clips with pauses between, in noise that goes on through the pauses, so there is no digital
silence anywhere. The stream goes through the device's pipeline: speech gate, voice detector, log-mel, int8 model,
smoothing, `uncertain`. The label of a window is that of the clip of which it holds most, if that is at least a second;
windows with a second of two clips with different labels are left out. False alarms are windows that the device
publishes though nobody speaks in them, per hour of such windows; the certain ones are not `uncertain`. In babble the
background speaks, so its false alarms are windows of other people's voices. A clip has a reading if one of its windows
has; its answer is the mean of their scores, and a clip without one counts as missed in the UAR of clips.

Of a corpus that taught the model the speakers are those whom it never heard, as its manifest names them; a release has
heard them all, and gets those of the last block with a title that says so. Those of any other corpus are strangers. The
lines of less level are the same streams as at 30 dB, all of it softer; the band is that of a telephone, for voice and
noise.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

import models.bundle
from device.audio.source import SAMPLE_RATE_HZ, Block
from device.inference.pipeline import windows
from device.settings import DeviceSettings
from models.bundle import Bundle, BundleError, Manifest
from models.frontend import Samples
from models.runtime import Classifier
from training import backgrounds, catalogue, corpora, evaluate, score, splits
from training.backgrounds import Noise
from training.corpora import Clip

BABBLERS = 16
"""Speakers, none of them scored, of whom some make babble."""
BABBLED_CLIPS = 20
"""Clips that each of them says again and again."""
TELEPHONE_HZ = (300, 3_400)
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
PUBLISHED = ("speech", "uncertain")

Make = Callable[..., Noise]
Change = Callable[[np.ndarray], np.ndarray]


class Case(NamedTuple):
    """A background, and what becomes of voice and background together."""

    title: str
    make: Make
    snr_db: float
    """How far the noise is below the mean power of the clips."""
    change: Change = np.asarray


class Stream(NamedTuple):
    """Clips of one speaker, in noise."""

    samples: Samples
    truth: np.ndarray
    """Class of each sample, `NOBODY` in pauses, shape (samples,)."""
    clips: np.ndarray
    """Number of the clip of each sample, `NOBODY` in pauses, shape (samples,)."""


class Classified(NamedTuple):
    """Output of the device's pipeline for the windows of many streams; one row of each array for each window."""

    truth: np.ndarray
    """Class of the clip that fills at least a second; else `NOBODY` or `UNCLEAR`."""
    state: np.ndarray
    scores: np.ndarray
    """Of the window alone, shape (windows, labels); NaN without speech."""
    smoothed: np.ndarray
    clips: np.ndarray
    """Number of the clip that fills most of the window; no two streams share one."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m trials.streams")
    parser.add_argument("bundle", help="name of a shipped bundle, or folder of one, such as that of a fold")
    parser.add_argument("--corpus", choices=catalogue.SCORED, default=catalogue.TAUGHT_BY)
    parser.add_argument("--speakers", type=int, help="how many of them; all by default")
    parser.add_argument("--case", help="only cases whose title and SNR begin so: `music 10`")
    parser.add_argument("--recordings-dir", type=Path, default=Path("../shared/data"))
    asked = parser.parse_args()
    made = models.bundle.load(models.bundle.find(asked.bundle))
    clips = catalogue.read(asked.corpus, asked.recordings_dir, made.manifest.labels)
    test, whom = strangers(asked.corpus, clips, made)
    speakers = splits.speakers(test)[: asked.speakers]
    others = [speaker for speaker in splits.speakers(clips) if speaker not in speakers][:BABBLERS]
    test = [clip for clip in test if clip.speaker in speakers]
    print(f"{made.manifest.name}, {asked.corpus}: {len(speakers)} speakers {whom}, {len(test)} clips")
    print(
        "noise                 SNR  windows   heard            UAR  UAR smoothed  ECE    coverage  "
        "UAR without uncertain  false alarms an hour  certain  clips with a reading  UAR of clips"
    )
    babble = partial(backgrounds.babble, voices=[talk(clips, speaker) for speaker in others])
    for case in cases(babble):
        if f"{case.title} {case.snr_db}".startswith(asked.case or ""):
            streams = (stream([clip for clip in test if clip.speaker == one], made.manifest, case) for one in speakers)
            told = line(classify(streams, made), made.manifest)
            print(f"{case.title:<20} {case.snr_db:>3} dB  {told}", flush=True)


def cases(babble: Make) -> list[Case]:
    """Return all cases, in the order in which they are printed."""
    pink, shaped, music = backgrounds.pink, backgrounds.speech_shaped, backgrounds.music
    return [
        *(Case("pink noise", pink, snr_db) for snr_db in (30, 20, 10, 0)),
        *(Case("speech-shaped noise", shaped, snr_db) for snr_db in (20, 10)),
        *(Case("babble", babble, snr_db) for snr_db in (20, 10)),
        *(Case("music", music, snr_db) for snr_db in (20, 10)),
        *(Case(f"{quieter_db} dB quieter", pink, 30, partial(_softer, db=quieter_db)) for quieter_db in (20, 30)),
        Case("300 to 3,400 Hz", pink, 30, telephone),
    ]


def strangers(corpus: str, clips: Sequence[Clip], made: Bundle) -> tuple[Sequence[Clip], str]:
    """Return the clips of speakers whom a model never heard, or of the last block if it heard all; and a title."""
    if not catalogue.is_own(corpus, made.manifest):
        return clips, "it never heard"
    try:
        return score.unheard(clips, made), "it never heard"
    except BundleError:
        blocks = splits.blocks_of(clips)
        return [clip for clip in clips if clip.speaker in blocks[max(blocks)]], "who trained it"


def talk(clips: Sequence[Clip], speaker: int) -> Samples:
    """Return some clips of a speaker one after the other."""
    own = [clip for clip in clips if clip.speaker == speaker][:BABBLED_CLIPS]
    return np.concatenate([corpora.read_audio(clip, SAMPLE_RATE_HZ) for clip in own])


def stream(clips: Sequence[Clip], manifest: Manifest, case: Case) -> Stream:
    """Return a speaker's clips in random order, with pauses, in noise; the same each time."""
    voice = catalogue.voice_of(clips[0].speaker)
    assert voice is not None  # the clips are those of a known corpus
    rng = np.random.default_rng(voice.speaker)
    parts, truth, numbers = [], [], []
    for number in rng.permutation(len(clips)):
        pause = int(rng.uniform(*PAUSE_S) * SAMPLE_RATE_HZ)
        samples = corpora.read_audio(clips[number], SAMPLE_RATE_HZ)
        parts += [np.zeros(pause, np.int16), samples]
        truth += [
            np.full(pause, NOBODY, np.int8),
            np.full(len(samples), manifest.labels.index(clips[number].label), np.int8),
        ]
        numbers += [np.full(pause, NOBODY), np.full(len(samples), number)]
    rest = REST_S * SAMPLE_RATE_HZ
    clean = np.concatenate([*parts, np.zeros(rest, np.int16)])
    classes = np.concatenate([*truth, np.full(rest, NOBODY, np.int8)])
    spoken = np.concatenate([*numbers, np.full(rest, NOBODY)])
    noise = np.resize(case.make(clean[classes >= 0], NOISE_SAMPLES, rng, case.snr_db), len(clean))
    return Stream(np.rint(case.change(clean + noise)).clip(-32_768, 32_767).astype(np.int16), classes, spoken)


def classify(streams: Iterable[Stream], made: Bundle) -> Classified:
    """Return what the device's pipeline makes of each stream from its beginning."""
    manifest = made.manifest
    classifier = Classifier(made)
    silent = np.full(len(manifest.labels), np.nan)
    rows = []
    before = 0
    for stream in streams:
        for window in windows(_blocks(stream.samples), manifest, classifier.scores, DeviceSettings().gate_dbfs):
            end = window.end_ms * SAMPLE_RATE_HZ // 1000
            heard = slice(end - manifest.window_samples, end)
            truth = truth_of(stream.truth[heard], len(manifest.labels))
            scores = (window.scores, window.smoothed) if window.scores is not None else (silent, silent)
            own = stream.clips[heard][stream.truth[heard] == truth]
            clip = before + int(np.bincount(own).argmax()) if truth >= 0 else NOBODY
            rows.append((truth, window.state, *scores, clip))
        before += int(stream.clips.max()) + 1
    return Classified(*(np.array(column) for column in zip(*rows, strict=True)))


def line(found: Classified, manifest: Manifest) -> str:
    """Return the figures of one line."""
    speech = found.truth >= 0
    published = np.isin(found.state, PUBLISHED)
    scored = speech & published
    truth, scores, smoothed = found.truth[scored], found.scores[scored], found.smoothed[scored]
    certain = found.state[scored] == "speech"
    idle = found.truth == NOBODY
    hours = idle.sum() * manifest.hop_ms / 3_600_000
    return (
        f"{len(truth):>7}  {scored.sum() / speech.sum():>6.1%}  {evaluate.uar(scores.argmax(axis=1), truth):>13.1%}  "
        f"{evaluate.uar(smoothed.argmax(axis=1), truth):>12.1%}  {evaluate.calibration_error(scores, truth):.3f}  "
        f"{certain.mean():>8.1%}  {evaluate.uar(smoothed[certain].argmax(axis=1), truth[certain]):>21.1%}  "
        f"{(idle & published).sum() / hours:>20.0f}  {(idle & (found.state == 'speech')).sum() / hours:>7.0f}  "
        "{:>20.1%}  {:>12.1%}".format(*of_clips(found))
    )


def of_clips(found: Classified) -> tuple[float, float]:
    """Return the share of clips with a reading, and the UAR of all clips, in which those without one are missed."""
    published = np.isin(found.state, PUBLISHED)
    truth, answers = [], []
    for clip in np.unique(found.clips[found.truth >= 0]):
        own = (found.clips == clip) & (found.truth >= 0)
        truth.append(found.truth[own][0])
        read = own & published
        answers.append(int(found.scores[read].mean(axis=0).argmax()) if read.any() else NOBODY)
    return float(np.mean(np.array(answers) >= 0)), evaluate.uar(np.array(answers), np.array(truth))


def _softer(sound: np.ndarray, db: float) -> np.ndarray:
    """Return sound that is so much softer, as a microphone with less gain hears it."""
    quieter: np.ndarray = sound * 10 ** (-db / 20)
    return quieter


def telephone(sound: np.ndarray) -> np.ndarray:
    """Return only what a telephone lets pass."""
    size = 1 << len(sound).bit_length()  # an FFT of any other length may take ten times as long
    spectrum = np.fft.rfft(sound, size)
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    spectrum[(hertz < TELEPHONE_HZ[0]) | (hertz > TELEPHONE_HZ[1])] = 0
    return np.fft.irfft(spectrum, size)[: len(sound)]


def _blocks(samples: Samples) -> Iterator[Block]:
    for begin in range(0, len(samples) - BLOCK + 1, BLOCK):
        yield Block(samples[begin : begin + BLOCK], (begin + BLOCK) * 1000 // SAMPLE_RATE_HZ)


def truth_of(truth: np.ndarray, labels: int) -> int:
    """Return the class of a window, `NOBODY` where nobody speaks, `UNCLEAR` where it has none or two."""
    if (truth < 0).all():
        return NOBODY
    lengths = np.bincount(truth[truth >= 0], minlength=labels) / SAMPLE_RATE_HZ
    return int(lengths.argmax()) if (lengths >= LEAST_S).sum() == 1 else UNCLEAR


if __name__ == "__main__":
    main()
