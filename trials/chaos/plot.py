"""The timelines of schedules as a picture: how many records waited, and when which fault lasted."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

from matplotlib.figure import Figure

from trials.chaos.results import Row

_FAULT, _WAITING = "#b03a2e", "#1f618d"
_COLUMNS = 5
_LONGEST_TITLE = 32


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write a PNG with a small timeline of each schedule, all to one scale."""
    columns = min(_COLUMNS, len(rows))
    lines = ceil(len(rows) / columns)
    figure = Figure(figsize=(2.3 * columns + 0.6, 1.15 * lines + 0.9), layout="constrained", dpi=110)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, row in zip(grid.flat, rows, strict=False):
        for _, from_s, to_s in row.happenings:
            axes.axvspan(from_s, max(to_s, from_s + 0.1), color=_FAULT, alpha=0.25, linewidth=0)
        times, counts = [at_s for at_s, _ in row.waiting], [count for _, count in row.waiting]
        axes.fill_between(times, counts, step="post", color=_WAITING, linewidth=0)
        name = " + ".join(row.faults) or "nothing"
        axes.set_title(name if len(name) <= _LONGEST_TITLE else f"{name[:_LONGEST_TITLE]}…", fontsize=7, pad=2)
        axes.tick_params(labelsize=7)
    grid[0, 0].set_xlim(0, max((at_s for row in rows for at_s, _ in row.waiting), default=1))
    grid[0, 0].set_ylim(0, 1.05 * max((count for row in rows for _, count in row.waiting), default=1))
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid.flat[len(rows) :]:
        axes.set_visible(False)
    figure.supxlabel("seconds; red: the fault lasts", fontsize=9)
    figure.supylabel("records that wait to be confirmed", fontsize=9)
    figure.savefig(path)
