"""`moodwire data figures`: pictures of the recordings."""

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("agg")

from matplotlib import pyplot as plt

from models.frontend import FrontEnd
from training import corpora
from training.corpora import EMOTIONS, Clip, CorpusError
from training.settings import FiguresSettings

RATE_HZ = 16_000
STEP_S = 0.05
"""Amplitude is averaged over steps of this length."""
SHOWN_S = 4.0
COLOURS = {
    "ANG": "#c12900",
    "DIS": "#46794b",
    "FEA": "#9e6fcd",
    "HAP": "#cc7b0f",
    "NEU": "#7c8794",
    "SAD": "#27579f",
}
"""Those of the server's plots and of the page."""


def figures(settings: FiguresSettings) -> int:
    """Draw all pictures; return the exit code, 2 where recordings are missing."""
    try:
        clips = corpora.read_clips(settings.recordings_dir, tuple(EMOTIONS))
        settings.out.mkdir(parents=True, exist_ok=True)
        lengths(clips).savefig(settings.out / "lengths.png", dpi=130)
        counts(clips).savefig(settings.out / "counts.png", dpi=130)
        levels = amplitudes(clips)
        amplitude(levels).savefig(settings.out / "amplitude.png", dpi=130)
        amplitude_3d(levels).savefig(settings.out / "amplitude-3d.png", dpi=110)
        examples(clips).savefig(settings.out / "examples.png", dpi=90)
        plt.close("all")
    except CorpusError as error:
        print(f"moodwire data figures: {error}", file=sys.stderr)
        return 2
    print(f"wrote {len(list(settings.out.glob('*.png')))} pictures into {settings.out}")
    return 0


def lengths(clips: Sequence[Clip]) -> Any:
    """Draw the lengths of the clips of each emotion."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    axes.axvline(3, color="black", linestyle="--")
    seconds = {
        label: [(clip.samples or 0) / RATE_HZ for clip in clips if clip.label == label] for label in _labels(clips)
    }
    axes.hist(
        list(seconds.values()),
        bins=np.arange(1, 5.25, 0.25).tolist(),
        stacked=True,
        color=[COLOURS[label] for label in seconds],
    )
    axes.legend(["a window", *(EMOTIONS[label] for label in seconds)])
    axes.set(title=f"How long {len(clips):,} clips are", xlabel="seconds", ylabel="clips")
    return figure


def counts(clips: Sequence[Clip]) -> Any:
    """Draw the number of clips of each emotion, sentence and actor."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(10, 6), layout="constrained")
    sentences = sorted({_sentence(clip) for clip in clips})
    floor = np.zeros(len(sentences))
    for label in _labels(clips):
        of_label = Counter(_sentence(clip) for clip in clips if clip.label == label)
        heights = np.array([of_label[sentence] for sentence in sentences])
        top.bar(sentences, heights, bottom=floor, color=COLOURS[label], label=f"{EMOTIONS[label]}: {heights.sum():,}")
        floor += heights
    top.set(title="Clips of each sentence", ylabel="clips")
    top.legend(ncols=2, fontsize="small")
    of_actor = Counter(clip.speaker for clip in clips)
    women = {clip.speaker for clip in clips if clip.sex == "Female"}
    actors = sorted(of_actor)
    bottom.bar(
        range(len(actors)),
        [of_actor[actor] for actor in actors],
        color=["#cc7b0f" if actor in women else "#27579f" for actor in actors],
        hatch=["" if actor in women else "////" for actor in actors],
        edgecolor="white",
        linewidth=0,
    )
    bottom.set_xticks(range(0, len(actors), 6), actors[::6])
    bottom.set(
        title=f"Clips of each actor: {len(women)} women (plain), {len(actors) - len(women)} men (hatched)",
        ylabel="clips",
    )
    return figure


def amplitudes(clips: Sequence[Clip]) -> dict[str, NDArray[np.float64]]:
    """Return the mean level of each emotion's clips in each step from their beginning, dBFS."""
    step, steps = int(STEP_S * RATE_HZ), int(SHOWN_S / STEP_S)
    power = {label: np.zeros(steps) for label in _labels(clips)}
    counts = {label: np.zeros(steps) for label in power}
    for clip in clips:
        samples = corpora.read_audio(clip, RATE_HZ)[: step * steps]
        blocks = samples[: len(samples) // step * step].reshape(-1, step) / 32_768
        power[clip.label][: len(blocks)] += (blocks**2).mean(axis=1)
        counts[clip.label][: len(blocks)] += 1
    return {label: 10 * np.log10(np.maximum(power[label], 1e-12) / np.maximum(1, counts[label])) for label in power}


def amplitude(levels: dict[str, NDArray[np.float64]]) -> Any:
    """Draw the average amplitude over time for each emotion."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for label, level in levels.items():
        axes.plot(np.arange(len(level)) * STEP_S, level, color=COLOURS[label], label=EMOTIONS[label])
    axes.legend()
    axes.set(title="Average amplitude from the beginning of the clip", xlabel="seconds", ylabel="dBFS", ylim=(-70, -10))
    return figure


def amplitude_3d(levels: dict[str, NDArray[np.float64]]) -> Any:
    """Draw the same in three dimensions: time, emotion, amplitude."""
    figure = plt.figure(figsize=(8, 6), layout="constrained")
    axes: Any = figure.add_subplot(projection="3d")
    for place, (label, level) in enumerate(levels.items()):
        amplitude = 10 ** (level / 20)
        axes.plot(np.arange(len(level)) * STEP_S, amplitude, place, zdir="y", color=COLOURS[label], linewidth=2)
    axes.set_yticks(range(len(levels)), list(levels))
    axes.set(title="Average amplitude of a clip", xlabel="seconds", zlabel="RMS, of full scale")
    axes.set_box_aspect(None, zoom=0.9)
    return figure


def examples(clips: Sequence[Clip]) -> Any:
    """Draw a clip of each emotion, of the first actor: its waveform and its log-mel frames."""
    chosen = list({clip.label: clip for clip in reversed(clips)}.values())[::-1]
    figure, axes = plt.subplots(2, len(chosen), figsize=(3 * len(chosen), 5), layout="constrained", squeeze=False)
    for clip, (wave, mel) in zip(chosen, axes.T, strict=True):
        samples = corpora.read_audio(clip, RATE_HZ)
        seconds = len(samples) / RATE_HZ
        wave.plot(np.arange(len(samples)) / RATE_HZ, samples / 32_768, linewidth=0.4, color=COLOURS[clip.label])
        wave.set(title=f"{clip.path.stem}\n{EMOTIONS[clip.label]}", xlim=(0, seconds), ylim=(-1, 1))
        frames = FrontEnd().log_mel(samples)
        mel.imshow(frames.T, origin="lower", aspect="auto", vmin=frames.max() - 80, extent=(0, seconds, 0, 64))
        mel.set(xlabel="seconds", ylabel="mel band")
    return figure


def _labels(clips: Sequence[Clip]) -> list[str]:
    return [label for label in EMOTIONS if any(clip.label == label for clip in clips)]


def _sentence(clip: Clip) -> str:
    return clip.path.stem.split("_")[1]
