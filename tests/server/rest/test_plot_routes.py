"""Plots are images of what there is, with shades for the rest."""

import re
from datetime import UTC

import numpy as np
import pytest
from clients import MAC, URL, Client
from records import DEVICE, reading, status

from server.query.series import Grid
from server.query.spans import Span
from server.query.time_range import Range
from server.rest import plots
from server.rest.plot_text import Subject

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


@pytest.mark.parametrize("plot", ["timeline", "histogram", "mean"])
@pytest.mark.parametrize("zone", ["utc", "Europe/Berlin"])
def test_plots_are_images(client: Client, now: int, plot: str, zone: str) -> None:
    """Each plot comes as PNG and as SVG, whatever the device is called."""
    client.store.write([(DEVICE, status(connection=2, name="$\\frac{1}$ <b>"))])
    png, svg = client.ask(f"{URL}/plots/{plot}.png?tz={zone}"), client.ask(f"{URL}/plots/{plot}.svg")
    assert (png.mimetype, png.data[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    assert (svg.mimetype, b"<svg" in svg.data) == ("image/svg+xml", True)


def test_the_legend_names_the_shades(client: Client) -> None:
    """Each kind of span on the plot is in the legend, and a line has a gap where there is no reading."""
    steps, nothing = np.arange(4) * HOUR_MS, np.array([0.5, np.nan, 0.4, 0.6])
    grid = Grid(Range(0, 4 * HOUR_MS), HOUR_MS, steps, {"ANG": nothing}, np.array([1, 0, 1, 1]), np.zeros(4, int))
    kinds = ("silence", "uncertain", "paused", "offline", "missing")
    spans = [Span(kind, number * MINUTE_MS, (number + 1) * MINUTE_MS) for number, kind in enumerate(kinds)]
    figure = plots.timeline(plots.Frame(Subject("Kitchen", MAC), grid.range, UTC, plots.Look()), grid, {}, spans)
    shades = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shades == ["Silence", "Uncertain", "Paused", "Offline", "Nothing received"]
    line, alone = figure.axes[0].lines
    assert np.isnan(line.get_ydata()).tolist() == [False, True, False, False]
    assert alone.get_ydata().tolist() == [0.5]


def test_the_axis_is_in_the_time_zone(client: Client, now: int) -> None:
    """The same noon is 12:00 in UTC and 21:00 in Tokyo, and the axis says which."""
    query = "start=2026-07-01T11:30:00Z&end=2026-07-01T12:30:00Z"
    words = {}
    for zone in ("UTC", "Asia/Tokyo"):
        svg = client.ask(f"{URL}/plots/timeline.svg?{query}&tz={zone}").text
        words[zone] = set(re.findall(r">([^<>]+)</text>", svg))
    assert {"12:00", "Time (UTC)"} <= words["UTC"]
    assert {"21:00", "Time (JST)"} <= words["Asia/Tokyo"]


def test_a_plot_that_the_client_has_is_not_drawn_again(
    client: Client, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its ETag a plot is 304 without drawing; another reading, zone or form is another plot."""
    path = f"{URL}/plots/timeline.png?start={now / 1000 - 600}&end={now / 1000 + 60}"
    first = client.ask(path)
    tag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache"
    others = [client.ask(other).headers["ETag"] for other in (f"{path}&tz=Asia/Tokyo", path.replace("png", "svg"))]
    with monkeypatch.context() as patch:
        patch.delattr(plots, "render")
        again = client.ask(path, if_none_match=tag)
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    client.store.write([(DEVICE, reading(9, now - 5000))])
    more = client.ask(path, if_none_match=tag)
    assert more.status_code == 200
    assert len({tag, more.headers["ETag"], *others}) == 4


def test_a_plot_has_the_asked_size_and_ground(client: Client, now: int) -> None:
    """`width`, `dpi` and `dark` change the image; what no plot can be drawn with is refused with what can."""
    wide = client.ask(f"{URL}/plots/mean.png?width=1600&dpi=160&dark=true")
    assert int.from_bytes(wide.data[16:20]) == 1600
    assert wide.headers["ETag"] != client.ask(f"{URL}/plots/mean.png?width=1600&dpi=160").headers["ETag"]
    assert "5 to 20" in client.problem(f"{URL}/plots/mean.png?width=400&dpi=300", 400)
    client.problem(f"{URL}/plots/mean.png?width=100000", 400)
    client.problem(f"{URL}/plots/mean.png?dpi=10", 400)
