"""What the plots show: no text outside, however many emotions, and a night that is not folded."""

from datetime import UTC
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from clients import MAC
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from server.query.series import Grid
from server.query.summary import Summary, Tally
from server.query.time_range import Range
from server.rest import plots
from server.rest.plot_text import Subject

KITCHEN = Subject("Kitchen", MAC)
MANY = [f"A_LONG_LABEL_WW{number:X}" for number in range(16)]
CLOCKS_GO_BACK = 1_792_890_000_000
"""2026-10-25T01:00:00Z, in Europe/Rome."""


def grid(inside: Range, labels: list[str]) -> Grid:
    """Return a series with a value every ten minutes."""
    at = np.arange(inside.start, inside.end, 600_000)
    means = {label: np.full(at.size, 0.5) for label in labels}
    return Grid(inside, 600_000, at, means, np.ones(at.size, np.int64), np.zeros(at.size, np.int64))


def summary(labels: list[str]) -> Summary:
    """Return sums of which each label has the same."""
    found = Summary(Range(0, 3_600_000), readings=10 * len(labels))
    for label in labels:
        found.labels[label] = Tally(10, 50_000.0, 50_000.0, np.ones(10, np.int64), np.ones(10, np.int64))
    return found


def test_a_night_with_a_change_of_clocks_is_not_folded() -> None:
    """Each time is right of the one before, the repeated hour is named twice, and title and axis name both zones."""
    night = Range(CLOCKS_GO_BACK - 2 * 3_600_000, CLOCKS_GO_BACK + 2 * 3_600_000)
    figure = plots.timeline(KITCHEN, grid(night, ["ANG"]), [], night, ZoneInfo("Europe/Rome"))
    (axes,) = figure.axes
    assert np.ptp(np.diff(axes.lines[0].get_xdata())) == pytest.approx(0, abs=1e-9)  # type: ignore[arg-type]
    labels = [label.get_text().strip() for label in axes.get_xticklabels()]
    assert labels[2:6] == ["02:00\nCEST", "02:30\nCEST", "02:00\nCET", "02:30\nCET"]
    assert axes.get_xlabel() == "Time (CEST and CET)"
    assert figure.get_suptitle().endswith("\n2026-10-25 01:00 CEST to 04:00 CET")


@pytest.mark.parametrize("labels", [["ANG", "HAP", "NEU"], MANY])
@pytest.mark.parametrize("plot", ["timeline", "histogram", "mean"])
def test_all_text_is_on_the_plot_and_apart(labels: list[str], plot: str) -> None:
    """With three emotions or sixteen with long names, no text leaves the image and none covers another."""
    inside = Range(0, 3_600_000)
    figure = (
        plots.timeline(KITCHEN, grid(inside, labels), [], inside, UTC)
        if plot == "timeline"
        else getattr(plots, plot)(KITCHEN, summary(labels), UTC)
    )
    boxes = text_boxes(figure)
    for words, (left, bottom, right, top) in boxes.items():
        assert min(left, bottom) >= 0, words
        assert right <= figure.bbox.width, words
        assert top <= figure.bbox.height, words
    if plot != "mean":  # its slanted names have boxes that overlap, and words that do not
        assert overlapping(boxes) == []


def text_boxes(figure: Figure) -> dict[str, tuple[float, float, float, float]]:
    """Return left, bottom, right and top of each visible text that stands for itself, by place and words."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    artists = [figure._suptitle, *figure.legends[:1]]  # type: ignore[attr-defined]
    for axes in figure.axes:
        if axes.get_visible():
            artists += [axes.title, axes.xaxis.label, *axes.texts, *axes.get_xticklabels()]
            artists += [legend] if (legend := axes.get_legend()) else []
    found = {}
    for number, artist in enumerate(artists):
        if artist is not None and getattr(artist, "get_text", lambda: "legend")():
            box = artist.get_window_extent(canvas.get_renderer())  # type: ignore[no-untyped-call]
            found[f"{number} {artist}"] = (box.x0, box.y0, box.x1, box.y1)
    return found


def overlapping(boxes: dict[str, tuple[float, float, float, float]]) -> list[tuple[str, str]]:
    """Return the pairs of boxes that cover each other."""
    items = list(boxes.items())
    return [
        (one, other)
        for place, (one, a) in enumerate(items)
        for other, b in items[place + 1 :]
        if min(a[2], b[2]) - max(a[0], b[0]) > 1 and min(a[3], b[3]) - max(a[1], b[1]) > 1
    ]
