"""The picture of `trials.room_day`: what was heard and spoken in each hour, how well, and the baseline behind it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from server.rest import palette
from training import plots
from trials import pictures

SIZE = (9, 6.6)
HEARD, SPOKEN = (0.35, 0.5), (0.79, 0.2)
"""Middle and width of the two bars of an hour; what was heard is narrower by how much less was heard."""
THINNEST = 0.06
STEP = 0.02
"""Smallest change of the baseline's strength that is drawn."""
VOICES, EVENTS, MICROPHONE = 1.03, 1.09, 1.15
"""Heights of the words above the bars."""
SMALL = 7.5
BETTER, WORSE = plots.ACCENT, "#b3261e"
UNCERTAIN: Any = {
    "facecolor": palette.SPANS["uncertain"].colour.light,
    "edgecolor": "#b08d2e",
    "hatch": "////",  # dots would make a large file
    "linewidth": 0,
}
SILENCE = palette.SPANS["silence"].colour.light
CHANGE: Any = {"color": plots.INK, "linewidth": 1, "linestyle": (0, (4, 3)), "zorder": 4}


class Told(NamedTuple):
    """What is known of an hour."""

    voices: str
    """Who talks; empty where nobody does."""
    event: str
    """What else there is, such as music."""
    other_microphone: bool
    spoken: dict[str, float]
    """Share of each label in what was really said; empty where nothing was."""
    readings: int
    uncertain: float | None
    """Share of the readings; None without any."""
    shares: dict[str, float | None]
    """Of each label in the other readings."""
    cold: float | None
    """UAR of the model alone; None where nobody speaks."""
    after: float | None
    """UAR after the baseline."""
    strengths: list[tuple[float, float]]
    """Part of the hour, and how strongly the baseline was in force from then on."""


def draw(name: str, labels: Sequence[str], day: Sequence[Told]) -> Figure:
    """Draw a day.

    Args:
        name: of the model.
        labels: of the model.
        day: its hours.
    """
    with pictures.drawn(SIZE) as figure:
        shares, recalls, strengths = figure.subplots(3, 1, sharex=True, height_ratios=(3.3, 1.7, 0.9))
        _draw_shares(shares, labels, day)
        _draw_recalls(recalls, labels, day)
        _draw_strengths(strengths, day)
        for axes in (shares, recalls, strengths):
            axes.set(xlim=(0, len(day)))
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            for number, hour in enumerate(day):
                if not hour.voices:
                    axes.axvspan(number, number + 1, color=SILENCE, linewidth=0, zorder=0)
                if hour.other_microphone and not (number and day[number - 1].other_microphone):
                    axes.axvline(number, **CHANGE)
        strengths.set_xticks(range(0, len(day) + 1, 3), [f"{hour}:00" for hour in range(0, len(day) + 1, 3)])
        pictures.name(figure, f"{name}: a day in one room, heard by a device and read over REST")
    return figure


def _draw_shares(axes: Axes, labels: Sequence[str], day: Sequence[Told]) -> None:
    """Draw the two bars of each hour, and above them who talks and what else there is."""
    shown = {label: palette.emotion(label, list(labels)) for label in labels}
    most = max(hour.readings for hour in day)
    for number, hour in enumerate(day):
        certain = 1 - (hour.uncertain or 0)
        wide = max(THINNEST, HEARD[1] * hour.readings / max(1, most))
        heard = {label: (hour.shares[label] or 0) * certain for label in labels} if hour.readings else {}
        for shares, (middle, width) in ((heard, (HEARD[0], wide)), (hour.spoken, SPOKEN)):
            bottom = 0.0
            for label, share in shares.items():
                colour = shown[label].colour.light
                axes.bar(number + middle, share, width, bottom, color=colour, edgecolor="white", linewidth=0.4)
                bottom += share
        if hour.uncertain:
            axes.bar(number + HEARD[0], hour.uncertain, wide, certain, **UNCERTAIN)
        for words, height in ((hour.voices, VOICES), (hour.event, EVENTS)):
            above: Any = {"transform": axes.get_xaxis_transform(), "ha": "center", "fontsize": SMALL}
            axes.text(number + 0.5, height, words, **above, color=plots.INK if height == VOICES else WORSE)
        if hour.other_microphone and not (number and day[number - 1].other_microphone):
            axes.text(
                number,
                MICROPHONE,
                "another microphone from here",
                transform=axes.get_xaxis_transform(),
                ha="center",
                fontsize=SMALL,
            )
    nights = next((number for number, hour in enumerate(day) if hour.voices or hour.readings), 0)
    if nights > 2:
        axes.text(nights / 2, 0.5, "nobody speaks", ha="center", va="center", color=plots.QUIET)
    axes.set(ylim=(0, 1), ylabel="share of each emotion")
    axes.set_xticks([number + 0.5 for number in range(len(day))])
    counts = [str(hour.readings) if hour.readings else "" for hour in day]
    for number, count in enumerate(counts):
        axes.text(
            number + 0.5,
            -0.03,
            count,
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=SMALL - 0.5,
            color=plots.QUIET,
        )
    axes.text(
        0.1, -0.03, "readings:", transform=axes.get_xaxis_transform(), va="top", fontsize=SMALL, color=plots.QUIET
    )
    axes.tick_params(labelbottom=False)
    patches = [Patch(color=look.colour.light, label=look.name) for look in shown.values()]
    patches.append(Patch(**UNCERTAIN, label="Uncertain"))
    axes.legend(
        handles=patches,
        loc="lower left",
        bbox_to_anchor=(0, 1.18),
        ncols=len(patches),
        borderaxespad=0,
        handlelength=1.1,
        columnspacing=1.2,
        title="left: what the device heard, as wide as its readings are many; right: what was spoken",
        alignment="left",
    )


def _draw_recalls(axes: Axes, labels: Sequence[str], day: Sequence[Told]) -> None:
    """Draw the UAR of each hour without the baseline and with it."""
    for number, hour in enumerate(day):
        if hour.cold is not None and hour.after is not None:
            colour = BETTER if hour.after >= hour.cold else WORSE
            axes.plot([number + 0.5] * 2, [hour.cold, hour.after], color=colour, linewidth=1.6)
            axes.plot(number + 0.5, hour.cold, "o", color=colour, markersize=5, markerfacecolor="white")
            axes.plot(number + 0.5, hour.after, "o", color=colour, markersize=5.5)
    chance = 1 / len(labels)
    axes.axhline(chance, color=plots.QUIET, linewidth=0.9, linestyle=(0, (1, 1.6)))
    axes.text(0.1, chance + 0.02, "guessing", fontsize=SMALL, color=plots.QUIET)
    axes.text(0.1, 0.9, "○ model alone\n● after the baseline", va="top", fontsize=8, color=plots.INK)
    axes.set(ylim=(0, 1), ylabel="UAR")
    axes.grid(axis="y")


def _draw_strengths(axes: Axes, day: Sequence[Told]) -> None:
    """Draw how strongly the baseline was in force."""
    points = [(number + part, strength) for number, hour in enumerate(day) for part, strength in hour.strengths]
    drawn: list[tuple[float, float]] = []
    for point in points:
        if not drawn or abs(point[1] - drawn[-1][1]) >= STEP:
            drawn.append(point)
    if drawn:
        hours, strengths = zip(*[*drawn, (len(day), points[-1][1])], strict=True)
        axes.fill_between(hours, strengths, step="post", color=plots.ACCENT, alpha=0.2, linewidth=0)
        axes.step(hours, strengths, where="post", color=plots.ACCENT, linewidth=1.4)
    axes.set(ylim=(0, 1), ylabel="baseline\nin force")
    axes.set_yticks([0, 0.5, 1])
    axes.grid(axis="y")
