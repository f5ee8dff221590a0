"""The plots of the page of results, for screen and print: named where they are drawn, and readable without colours."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, PercentFormatter

from training.results import COMMON, Latency, Result, Score

INTENSITIES = ("LO", "MD", "HI", "XX")
MOST = 8
"""Largest number of curves in one plot."""
INK, QUIET, LINES = "#1d242c", "#56616c", "#dfe4e9"
ACCENT, OTHER = "#0f6675", "#8a949e"
DASHES = ("-", (0, (5, 2)), (0, (1, 1.6)), (0, (6, 2, 1.5, 2)))
MARKERS = "os^DvPX*"
"""Curves differ by dashes and marks too, as in print."""
_Z = 1.96
"""Standard deviations on either side of a 95 % interval."""
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": LINES,
    "axes.labelcolor": QUIET,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "grid.color": LINES,
    "text.color": INK,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def save(figure: Any, file: Path) -> None:
    """Write a figure as PNG, sharp enough for print, and free its memory."""
    figure.savefig(file, dpi=150)
    plt.close(figure)


def reliability(name: str, found: Score) -> Any:
    """Draw a reliability diagram: accuracy against confidence, with 95 % intervals (Wilson)."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(4.6, 4.6))
        low = math.floor(10 * min(min(bin_.confidence, bin_.accuracy) for bin_ in found.reliability)) / 10
        axes.plot([low, 1], [low, 1], color=QUIET, linestyle=(0, (4, 3)), linewidth=1)
        middle = low + 0.3 * (1 - low)
        below: Any = {"xytext": (8, -16), "textcoords": "offset points", "color": QUIET, "rotation": 45}
        axes.annotate("as sure as right", (middle, middle), **below)
        for bin_ in found.reliability:
            axes.plot([bin_.confidence] * 2, _wilson(bin_.accuracy, bin_.size), color=ACCENT, linewidth=1.4)
        axes.plot(
            [bin_.confidence for bin_ in found.reliability],
            [bin_.accuracy for bin_ in found.reliability],
            marker="o",
            markersize=4.5,
            color=ACCENT,
            linewidth=1.2,
        )
        axes.set_title(f"{name}: ECE {found.pooled['ece']:.3f}")
        axes.text(
            0.98,
            0.03,
            f"{len(found.reliability)} bins of equally many windows,\nwith 95 % intervals",
            transform=axes.transAxes,
            ha="right",
            color=QUIET,
        )
        axes.set(xlabel="mean highest probability", ylabel="accuracy", xlim=(low, 1), ylim=(low, 1.01), aspect="equal")
        axes.grid()
        _as_percent(axes.xaxis, axes.yaxis)
    return figure


def _wilson(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of so many (Wilson, 1927)."""
    middle = (share + _Z**2 / 2 / count) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(share * (1 - share) / count + (_Z / 2 / count) ** 2)
    return middle - half, middle + half


def risk_coverage(results: Sequence[Result]) -> Any:
    """Draw the risk when only the most confident windows are classified; the first system is the shipped one."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7, 3.9))
        ends = []
        for place, result in enumerate(results[:MOST]):
            coverage, uar = zip(*result.scores["speakers"].uar_by_coverage, strict=True)
            risk = [1 - value for value in uar]
            first = place == 0
            axes.plot(
                coverage,
                risk,
                color=ACCENT if first else OTHER,
                linestyle=DASHES[place % len(DASHES)],
                marker=MARKERS[place % len(MARKERS)],
                markersize=4.5 if first else 3.5,
                linewidth=2 if first else 1.1,
                zorder=3 if first else 2,
            )
            ends.append((risk[coverage.index(max(coverage))], place, result.name))
        _name_ends(axes, ends)
        axes.set_title("Answering only the surest windows")
        axes.set(
            xlabel="share of the windows answered, the surest first",
            ylabel="1 - UAR of these, unheard speakers",
            xlim=(None, 1),
        )
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        _as_percent(axes.xaxis, axes.yaxis)
    return figure


def _name_ends(axes: Any, ends: list[tuple[float, int, str]]) -> None:
    """Write the name of each curve where it ends at the right, apart from the others."""
    high = axes.get_ylim()[1]
    heights = _apart([end for end, _, _ in sorted(ends)], high / 17, high)
    for (end, place, name), height in zip(sorted(ends), heights, strict=True):
        axes.annotate(
            f"{name} ",
            (1, end),
            (1.045, height),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            color=ACCENT if place == 0 else INK,
            fontweight="bold" if place == 0 else "normal",
            arrowprops={"arrowstyle": "-", "color": LINES, "relpos": (0, 0.5), "shrinkA": 0, "shrinkB": 2},
            annotation_clip=False,
        )


def _apart(wanted: Sequence[float], gap: float, high: float) -> list[float]:
    """Return rising heights near the wanted ones, at least a gap apart and not above the highest."""
    heights: list[float] = []
    for each in wanted:
        heights.append(max(each, heights[-1] + gap) if heights else each)
    return [min(height, high - gap * (len(heights) - 1 - place)) for place, height in enumerate(heights)]


def groups(name: str, found: Score, titles: dict[str, str]) -> Any:
    """Draw the UAR of groups of clips as points beside that of all, for each key of `titles` that was measured."""
    shown = [key for key in titles if found.pooled.get(key)]
    sizes = [len(found.pooled[key]) for key in shown]
    with plt.rc_context(STYLE):
        figure, all_axes = plt.subplots(1, len(shown), figsize=(7, 0.8 + 0.22 * max(sizes)), sharex=True, squeeze=False)
        values = [value for key in shown for value in found.pooled[key].values()]
        for key, axes in zip(shown, all_axes[0], strict=True):
            named = {group: found.pooled[key][group] for group in sorted(found.pooled[key], key=_place, reverse=True)}
            places = range(len(named))
            axes.axvline(found.uar, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
            axes.hlines(places, found.uar, list(named.values()), color=ACCENT, linewidth=1.6)
            axes.plot(list(named.values()), places, "o", color=ACCENT, markersize=5)
            axes.set_yticks(places, list(named), color=INK)
            axes.set_ylim(len(named) - max(sizes) - 0.7, len(named) - 0.3)
            axes.set(title=titles[key], xlim=(min(values) - 0.04, max(values) + 0.04))
            axes.grid(axis="x")
            axes.spines["left"].set_visible(False)
            axes.tick_params(axis="y", labelsize=8)
            _as_percent(axes.xaxis)
        figure.suptitle(f"{name}: UAR by who speaks and what is said (dashed: all)", x=0.01, ha="left", fontsize=10)
    return figure


def _place(group: str) -> tuple[int, str]:
    return (INTENSITIES.index(group) if group in INTENSITIES else 0, group)


def front(results: Sequence[Result], latencies: dict[str, Latency]) -> Any:
    """Draw accuracy against size and against time; what nothing smaller or faster beats is a bold square."""
    with plt.rc_context(STYLE):
        figure, (by_size, by_time) = plt.subplots(2, 1, figsize=(7, 6.4))
        uars = {result.name: result.scores["speakers"].of_block(COMMON) for result in results}
        known = {name: uar for name, uar in uars.items() if uar is not None}
        kib = {result.name: result.bytes_deflated / 1024 for result in results if result.bytes_deflated}
        _scatter(by_size, {name: (kib[name], uar) for name, uar in known.items() if name in kib})
        _scatter(by_time, {name: (latencies[name].ms, uar) for name, uar in known.items() if name in latencies})
        _in_powers_of_two(by_size)
        by_size.set(title="Size and accuracy", xlabel="KiB, compressed", ylabel=f"UAR, block {COMMON}")
        by_time.set(title="Time and accuracy", xlabel="ms a window, front end and model, one thread")
        by_time.set(ylabel=f"UAR, block {COMMON}")
        for axes in (by_size, by_time):
            axes.grid()
            _as_percent(axes.yaxis)
    return figure


def _as_percent(*sides: Any) -> None:
    for axis in sides:
        axis.set_major_formatter(PercentFormatter(1, decimals=0))


def _in_powers_of_two(axes: Any) -> None:
    low, high = axes.get_xlim()
    if axes.has_data() and high > 2 * low:  # else there would hardly be a tick
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _scatter(axes: Any, places: dict[str, tuple[float, float]]) -> None:
    """Draw points with their names, each on the side and at the height where it covers no other."""
    uars = sorted(uar for _, uar in places.values())
    heights = _apart(uars, (uars[-1] - uars[0]) / 13, math.inf) if uars else []
    for height, (name, (cost, uar)) in zip(heights, sorted(places.items(), key=lambda place: place[1][1]), strict=True):
        dominated = any(other_cost <= cost and other > uar for other_cost, other in places.values())
        axes.plot(cost, uar, "o" if dominated else "s", color=OTHER if dominated else ACCENT, markersize=6)
        axes.annotate(
            name,
            (cost, uar),
            (1.02, height),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            color=INK,
            fontweight="normal" if dominated else "bold",
            arrowprops={"arrowstyle": "-", "color": LINES, "relpos": (0, 0.5), "shrinkA": 0, "shrinkB": 4},
            annotation_clip=False,
        )
    axes.margins(x=0.08, y=0.12)


def confusion(title: str, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Any:
    """Draw what is taken for what, as shares of each row, printed where they reach 5 %."""
    with plt.rc_context(STYLE):
        shares = [[count / max(1, sum(row)) for count in row] for row in counts]
        size = 2.2 + 0.42 * len(labels)
        figure, axes = plt.subplots(figsize=(size, size))
        axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
        for place, row in enumerate(shares):
            for heard, share in enumerate(row):
                if share >= 0.05:
                    ink = "white" if share > 0.5 else INK
                    axes.text(heard, place, f"{share:.0%}", ha="center", va="center", fontsize=7, color=ink)
        axes.set_xticks(range(len(labels)), labels, rotation=90)
        axes.set_yticks(range(len(labels)), labels)
        axes.set(title=title, xlabel="heard as", ylabel="portrayed")
        return figure


def curves(name: str, of_splits: Mapping[str, Mapping[str, Sequence[float]]]) -> Any:
    """Draw loss and accuracy after each epoch, a row for each split by its title.

    Clips that the network trains on are drawn in grey dashes, those that it does not in colour; the scale of each
    measure is the same in all rows.
    """
    with plt.rc_context(STYLE):
        figure, rows = plt.subplots(
            len(of_splits), 2, figsize=(7, 0.4 + 2.3 * len(of_splits)), sharex=True, sharey="col", squeeze=False
        )
        for (title, found), row in zip(of_splits.items(), rows, strict=True):
            for measure, axes in zip(("loss", "accuracy"), row, strict=True):
                for key, words in ((measure, "trained on"), (f"val_{measure}", "not trained on")):
                    if values := found.get(key):
                        epochs = range(1, len(values) + 1)
                        ink, dashes = (OTHER, DASHES[1]) if key == measure else (ACCENT, DASHES[0])
                        axes.plot(epochs, values, color=ink, linestyle=dashes, linewidth=1.6, label=words)
                axes.set(title=f"{measure}, {title}", xlim=(1, None))
                axes.grid(axis="y")
                axes.set_ylim(bottom=0)
            _as_percent(row[1].yaxis)
        for axes in rows[-1]:
            axes.set_xlabel("epoch")
        handles, words = rows[0, 0].get_legend_handles_labels()
        figure.legend(handles, [f"clips {each}" for each in words], loc="outside upper right", ncols=len(words))
        figure.suptitle(name, x=0.01, ha="left", fontsize=10)
    return figure
