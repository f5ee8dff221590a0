"""What the plots show: no text outside, however many emotions, and a night that is not folded."""

from datetime import UTC
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from clients import MAC
from drawings import overlapping, text_boxes

from server.query.series import Grid
from server.query.summary import Summary, Tally
from server.query.time_range import Range
from server.rest import plots
from server.rest.plot_text import Subject
from server.rest.plots import Frame, Look

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
    figure = plots.timeline(Frame(KITCHEN, night, ZoneInfo("Europe/Rome"), Look()), grid(night, ["ANG"]), {}, [])
    (axes,) = figure.axes
    assert np.ptp(np.diff(axes.lines[0].get_xdata())) == pytest.approx(0, abs=1e-9)  # type: ignore[arg-type]
    labels = [label.get_text().strip() for label in axes.get_xticklabels()]
    assert labels[2:6] == ["02:00\nCEST", "02:30\nCEST", "02:00\nCET", "02:30\nCET"]
    assert axes.get_xlabel() == "Time (CEST and CET)"
    assert figure.get_suptitle().endswith("\n2026-10-25 01:00 CEST to 04:00 CET")


@pytest.mark.parametrize("labels", [["ANG", "HAP", "NEU"], MANY])
@pytest.mark.parametrize("plot", ["timeline", "histogram", "mean"])
@pytest.mark.parametrize("look", [Look(), Look(dark=True, width=600, dpi=110)])
def test_all_text_is_on_the_plot_and_apart(labels: list[str], plot: str, look: Look) -> None:
    """With three emotions or sixteen with long names, wide or narrow, no text leaves the image or covers another."""
    inside = Range(0, 3_600_000)
    figure = (
        plots.timeline(Frame(KITCHEN, inside, UTC, look), grid(inside, labels), {}, [])
        if plot == "timeline"
        else getattr(plots, plot)(Frame(KITCHEN, inside, UTC, look), summary(labels))
    )
    boxes = text_boxes(figure)
    if plot != "mean":  # its slanted names have boxes that overlap, and words that do not
        assert overlapping(boxes) == []


def test_a_line_is_named_with_its_mean_over_readings() -> None:
    """Fifty-nine readings of 0.9 and one of 0.3 have a mean of 0.89, not the 0.6 of their two steps."""
    inside = Range(0, 1_200_000)
    given = Grid(inside, 600_000, np.array([0, 600_000]), {"ANG": np.array([0.9, 0.3])}, np.array([59, 1]), np.zeros(2))

    figure = plots.timeline(Frame(KITCHEN, inside, UTC, Look()), given, {}, [])

    assert [text.get_text() for text in figure.axes[0].texts] == ["Anger 0.89"]


def test_the_spread_is_a_band() -> None:
    """Around each line lies the middle half of its readings, and nothing where there are none."""
    inside = Range(0, 1_800_000)
    means = np.array([0.5, np.nan, 0.5])
    given = Grid(inside, 600_000, np.arange(3) * 600_000, {"ANG": means}, np.array([4, 0, 4]), np.zeros(3))

    figure = plots.timeline(Frame(KITCHEN, inside, UTC, Look()), given, {"ANG": (means - 0.1, means + 0.2)}, [])

    (band,) = figure.axes[0].collections
    corners = np.concatenate([path.vertices for path in band.get_paths()])
    assert {round(y, 6) for _, y in corners} == {0.4, 0.7}


def test_svg_is_text_with_a_title_and_a_description() -> None:
    """Who does not see the image hears what it says; its words are words, not outlines."""
    frame = Frame(Subject("A & B", MAC), Range(0, 3_600_000), UTC, Look())
    root = ET.fromstring(plots.render(plots.mean(frame, summary(["ANG"])), "svg"))
    found = {element.tag.partition("}")[2]: element.text for element in root}

    assert root.get("aria-labelledby") == "title description"
    assert found["title"] == f"Mean confidence where strongest: A & B ({MAC})"
    assert found["desc"].startswith("1970-01-01 00:00 to 01:00 UTC; Anger 0.50, n = 10; Overall 0.50, n = 10")
    assert "Mean confidence (0 to 1)" in {element.text for element in root.iter() if element.tag.endswith("}text")}
