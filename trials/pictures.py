"""How the trials draw: in the style of the page of results, each curve named where it ends."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training import plots

STYLE: Any = {**plots.STYLE, "svg.hashsalt": "moodwire"}
GUTTER = 1.06
"""Where names begin beside an axes, in its width."""


class End(NamedTuple):
    """Where a curve ends at the right, and what it is called."""

    height: float
    name: str
    colour: str
    bold: bool = False


@contextmanager
def drawn(size: tuple[float, float]) -> Iterator[Figure]:
    """Give a figure to draw on in this style.

    Args:
        size: width and height in inches.
    """
    with mpl.rc_context(STYLE):
        yield Figure(figsize=size)


def save(figure: Figure, file: Path) -> None:
    """Write a figure as PNG or SVG, as the file's ending says; the same figure as the same bytes."""
    with mpl.rc_context(STYLE):
        figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)


def name(figure: Figure, words: str) -> None:
    """Write what a figure shows above it."""
    figure.suptitle(words, x=0.01, ha="left", fontsize=10.5, fontweight="bold", color=plots.INK)


def name_ends(axes: Axes, ends: Sequence[End], most: int) -> None:
    """Write the name of each curve as near as may be to where it ends, none over another.

    Args:
        axes: with its limits as they stay.
        ends: of the curves.
        most: how many names the height of the axes holds.
    """
    low, high = axes.get_ylim()
    arrow: Any = {"arrowstyle": "-", "linewidth": 0.8, "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 0}
    ranked = sorted(ends)
    for end, height in zip(ranked, apart([end.height for end in ranked], (high - low) / most), strict=True):
        axes.annotate(
            end.name,
            (axes.get_xlim()[1], end.height),
            (GUTTER, height),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            color=end.colour,
            fontweight="bold" if end.bold else "normal",
            arrowprops={**arrow, "color": end.colour},
            annotation_clip=False,
        )


def apart(wanted: Sequence[float], gap: float) -> list[float]:
    """Return the heights nearest to these rising ones that are at least a gap apart (least squares)."""
    groups: list[list[float]] = []
    for place, height in enumerate(wanted):
        groups.append([height - place * gap])  # so that equal means exactly a gap apart
        while len(groups) > 1 and fmean(groups[-2]) > fmean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    means = [fmean(group) for group in groups for _ in group]
    return [mean + place * gap for place, mean in enumerate(means)]
