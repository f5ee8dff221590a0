"""The plots of the page of results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import ScalarFormatter

from training.results import COMMON, Latency, Result, Score

INTENSITIES = ("LO", "MD", "HI", "XX")
MOST = 8
"""Largest number of curves in one plot."""
NAME_HEIGHT = 0.005
"""Height of a point's name, as UAR, about."""


def save(figure: Any, file: Path) -> None:
    """Write a figure as PNG, and free its memory."""
    figure.savefig(file, dpi=80)
    plt.close(figure)


def reliability(name: str, found: Score) -> Any:
    """Draw a reliability diagram: accuracy against confidence."""
    figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, label="as sure as right")
    axes.plot(
        [bin_.confidence for bin_ in found.reliability],
        [bin_.accuracy for bin_ in found.reliability],
        marker="o",
        color="#3a7ca5",
        label=f"{name}: ECE {found.pooled['ece']:.3f}",
    )
    axes.legend(loc="upper left")
    axes.set(
        title=f"{len(found.reliability)} bins of equally many windows",
        xlabel="mean highest probability",
        ylabel="accuracy",
        xlim=(0.3, 1),
        ylim=(0.3, 1),
        aspect="equal",
    )
    return figure


def risk_coverage(results: Sequence[Result]) -> Any:
    """Draw the risk when only the most confident windows are classified."""
    figure, axes = plt.subplots(figsize=(10, 5), layout="constrained")
    for result in results[:MOST]:
        coverage, uar = zip(*result.scores["speakers"].uar_by_coverage, strict=True)
        axes.plot(coverage, [1 - value for value in uar], marker=".", label=result.name)
    figure.legend(fontsize="small", loc="outside right upper")
    axes.set(
        title="Risk and coverage, unheard speakers (of the blocks in each row)",
        xlabel="share of the windows answered, the surest first",
        ylabel="1 - UAR of these",
    )
    axes.set_ylim(bottom=0)
    return figure


def groups(name: str, found: Score, titles: dict[str, str]) -> Any:
    """Draw the UAR of groups of clips, for each key of `titles` that was measured."""
    shown = [key for key in titles if found.pooled.get(key)]
    widths = [len(found.pooled[key]) for key in shown]
    figure, all_axes = plt.subplots(
        1, len(shown), figsize=(11, 4), layout="constrained", sharey=True, squeeze=False, width_ratios=widths
    )
    for key, axes in zip(shown, all_axes[0], strict=True):
        values = {name: found.pooled[key][name] for name in sorted(found.pooled[key], key=_place)}
        axes.bar(list(values), list(values.values()), color="#5c677d")
        axes.axhline(found.uar, color="#c44536", linewidth=1)
        axes.set(title=titles[key], ylim=(0, 1))
        axes.tick_params(axis="x", rotation=90)
    all_axes[0][0].set(ylabel="UAR, unheard speakers")
    figure.suptitle(f"{name}: by who speaks and what is said (line: all)")
    return figure


def _place(group: str) -> tuple[int, str]:
    return (INTENSITIES.index(group) if group in INTENSITIES else 0, group)


def front(results: Sequence[Result], latencies: dict[str, Latency]) -> Any:
    """Draw accuracy against size and against time; the Pareto front is bold."""
    figure, (by_size, by_time) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained", sharey=True)
    uars = {result.name: result.scores["speakers"].of_block(COMMON) for result in results}
    known = {name: uar for name, uar in uars.items() if uar is not None}
    kib = {result.name: result.bytes_deflated / 1024 for result in results if result.bytes_deflated}
    _scatter(by_size, {name: (kib[name], uar) for name, uar in known.items() if name in kib})
    _scatter(by_time, {name: (latencies[name].ms, uar) for name, uar in known.items() if name in latencies})
    _in_powers_of_two(by_size)
    by_size.set(title="Size and accuracy", xlabel="KiB, compressed", ylabel=f"UAR, block {COMMON}")
    by_time.set(title="Time and accuracy", xlabel="ms a window, front end and model, one thread")
    return figure


def _in_powers_of_two(axes: Any) -> None:
    low, high = axes.get_xlim()
    if axes.has_data() and high > 2 * low:  # else there would hardly be a tick
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(ScalarFormatter())


def _scatter(axes: Any, places: dict[str, tuple[float, float]]) -> None:
    sides: dict[float, int] = {}
    for name, (cost, uar) in sorted(places.items(), key=lambda place: place[1], reverse=True):
        dominated = any(other_cost <= cost and other > uar for other_cost, other in places.values())
        axes.scatter(cost, uar, color="#5c677d" if dominated else "#c44536")
        # names of points that lie close together would cover each other: they go to either side in turn
        nearest = min(sides, key=lambda other: abs(other - uar), default=float("inf"))
        side = sides[uar] = -sides[nearest] if abs(nearest - uar) < NAME_HEIGHT else 1
        axes.annotate(
            name,
            (cost, uar),
            xytext=(4 * side, 4),
            textcoords="offset points",
            horizontalalignment="left" if side > 0 else "right",
            fontsize="small",
            fontweight="normal" if dominated else "bold",
        )
    axes.margins(x=0.5, y=0.1)
