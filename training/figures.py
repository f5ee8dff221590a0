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
from training import catalogue, corpora
from training.catalogue import CORPORA, TAUGHT_BY
from training.corpora import NAMES, SEXES, Clip, CorpusError
from training.settings import FiguresSettings

RATE_HZ = 16_000
STEP_S = 0.05
"""Amplitude is averaged over steps of this length."""
SHOWN_S = 4.0
COLOURS = {
    "ANG": "#c12900",
    "BOR": "#5a3b3a",
    "CAL": "#15a07a",
    "DIS": "#46794b",
    "FEA": "#9e6fcd",
    "HAP": "#cc7b0f",
    "NEU": "#7c8794",
    "SAD": "#27579f",
    "SUR": "#860f5b",
}
"""Those of the server's plots and of the page."""
DPI = {"lengths": 130, "counts": 130, "amplitude": 130, "amplitude-3d": 110, "examples": 90}


def figures(settings: FiguresSettings) -> int:
    """Draw all pictures; return the exit code, 2 where recordings are missing."""
    try:
        clips = catalogue.read(settings.corpus, settings.recordings_dir, CORPORA[settings.corpus].labels)
        levels = amplitudes(clips)
        drawn = {
            "lengths": lengths(clips),
            "counts": counts(clips),
            "amplitude": amplitude(levels),
            "amplitude-3d": amplitude_3d(levels),
            "examples": examples(clips),
        }
    except CorpusError as error:
        print(f"moodwire data figures: {error}", file=sys.stderr)
        return 2
    settings.out.mkdir(parents=True, exist_ok=True)
    prefix = "" if settings.corpus == TAUGHT_BY else f"{settings.corpus}-"
    for name, figure in drawn.items():
        figure.savefig(settings.out / f"{prefix}{name}.png", dpi=DPI[name])
        plt.close(figure)
    print(f"wrote {len(drawn)} pictures into {settings.out}")
    return 0


def lengths(clips: Sequence[Clip]) -> Any:
    """Draw the lengths of the clips of each emotion."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    axes.axvline(3, color="black", linestyle="--")
    seconds = {label: [_seconds(clip) for clip in clips if clip.label == label] for label in _labels(clips)}
    axes.hist(
        list(seconds.values()),
        bins=np.arange(1, max(map(max, seconds.values())) + 0.25, 0.25).tolist(),
        stacked=True,
        color=[COLOURS[label] for label in seconds],
    )
    axes.legend(["a window", *(NAMES[label] for label in seconds)])
    axes.set(title=f"How long {len(clips):,} clips are", xlabel="seconds", ylabel="clips")
    return figure


def counts(clips: Sequence[Clip]) -> Any:
    """Draw the number of clips of each emotion, sentence and actor."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(10, 6), layout="constrained")
    sentences = sorted({clip.sentence for clip in clips})
    floor = np.zeros(len(sentences))
    for label in _labels(clips):
        of_label = Counter(clip.sentence for clip in clips if clip.label == label)
        heights = np.array([of_label[sentence] for sentence in sentences])
        top.bar(sentences, heights, bottom=floor, color=COLOURS[label], label=f"{NAMES[label]}: {heights.sum():,}")
        floor += heights
    top.set(title="Clips of each sentence", ylabel="clips")
    top.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
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
    every = -(-len(actors) // 20)
    bottom.set_xticks(range(0, len(actors), every), actors[::every])
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
        axes.plot(np.arange(len(level)) * STEP_S, level, color=COLOURS[label], label=NAMES[label])
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
    """Draw a clip of each emotion, of the first woman and of the first man: its waveform and its log-mel frames."""
    labels, front_end = _labels(clips), FrontEnd()
    speakers = [min(clip.speaker for clip in clips if clip.sex == sex) for sex in _sexes(clips)]
    spoken = [{clip.label: clip for clip in reversed(clips) if clip.speaker == speaker} for speaker in speakers]
    sounds = {clip.path: corpora.read_audio(clip, RATE_HZ) for of_one in spoken for clip in of_one.values()}
    longest = max(map(len, sounds.values())) / RATE_HZ
    figure, axes = plt.subplots(
        2 * len(speakers),
        len(labels),
        figsize=(2.2 * len(labels), 3.6 * len(speakers)),
        layout="constrained",
        sharex=True,
        sharey="row",
        squeeze=False,
    )
    for place, of_one in enumerate(spoken):
        waves, mels = axes[2 * place], axes[2 * place + 1]
        loudest = max(np.abs(sounds[clip.path]).max() for clip in of_one.values()) / 32_768
        for label, wave, mel in zip(labels, waves, mels, strict=True):
            if not (clip := of_one.get(label)):  # not everyone portrays everything
                wave.set_axis_off()
                mel.set_axis_off()
                continue
            samples = sounds[clip.path]
            wave.plot(np.arange(len(samples)) / RATE_HZ, samples / 32_768, linewidth=0.4, color=COLOURS[label])
            wave.set(xlim=(0, longest), ylim=(-1.05 * loudest, 1.05 * loudest))
            wave.set_title(f"{NAMES[label]}\n{clip.path.stem}" if place == 0 else clip.path.stem, fontsize=8)
            frames = front_end.log_mel(samples)
            end = len(samples) / RATE_HZ
            mel.imshow(frames.T, origin="lower", aspect="auto", vmin=frames.max() - 80, extent=(0, end, 0, 64))
        waves[0].set_ylabel("woman" if next(iter(of_one.values())).sex == SEXES["F"] else "man")
        mels[0].set_ylabel("mel band")
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    return figure


def _sexes(clips: Sequence[Clip]) -> list[str]:
    return [sex for sex in SEXES.values() if any(clip.sex == sex for clip in clips)]


def _seconds(clip: Clip) -> float:
    return (clip.samples or len(corpora.read_audio(clip, RATE_HZ))) / RATE_HZ


def _labels(clips: Sequence[Clip]) -> list[str]:
    return [label for label in sorted(COLOURS) if any(clip.label == label for clip in clips)]
