"""Plots and spans show what there is, and tell why the rest is not there."""

import re
from datetime import UTC

import numpy as np
import pytest
from clients import URL, Client
from records import DEVICE, heard, reading, status

from server.query.series import Grid, Span
from server.query.time_range import Range
from server.rest import plots
from server.store.keys import base

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


def history(client: Client, *changes: tuple[int, str]) -> None:
    """Let the device have said (minutes ago, state) and nothing else, as if that had been then."""
    key, now = f"{base(DEVICE)}:events", client.store.now()
    client.store.write([(DEVICE, status())])
    client.store.execute("DEL", key)
    for minutes, state in changes:
        fields = ("kind", state, "model", "ang-hap-neu-1")
        client.store.execute("XADD", key, f"{now - minutes * MINUTE_MS}-0", *fields)


def told(client: Client, query: str = "") -> list[tuple[str, int]]:
    """Return kind and whole minutes of the spans of the last hour."""
    times = client.get(f"{URL}?{query}")["spans"]
    minutes = [(np.datetime64(t["end"][:-1]) - np.datetime64(t["start"][:-1])) / np.timedelta64(1, "m") for t in times]
    return [(span["kind"], round(float(each))) for span, each in zip(times, minutes, strict=True)]


def test_an_absence_that_nothing_explains_is_told_from_silence_and_offline(client: Client) -> None:
    """Silent, gone without a word, paused, offline: each stretch of the hour has the right reason."""
    now = client.store.now()
    history(client, (90, "online"), (30, "paused"), (20, "offline"), (10, "online"))
    silent = [heard(number, now - (60 - number) * MINUTE_MS) for number in range(1, 16)]
    after = [heard(20 + number, now - (10 - number) * MINUTE_MS, silent=5, speech=55) for number in range(1, 10)]
    client.store.write([(DEVICE, record) for record in [*silent, *after]])
    found = told(client)
    assert found == [("silence", 15), ("missing", 15), ("paused", 10), ("offline", 10)]


def test_a_minute_that_is_on_its_way_is_not_missing(client: Client) -> None:
    """A device that came two minutes ago and has not reported yet misses nothing."""
    history(client, (2, "online"))
    assert told(client) == []


def test_a_microphone_that_gives_nothing_is_missing(client: Client) -> None:
    """Records of no window at all are no records of listening, so that a dead microphone is not taken for silence."""
    now = client.store.now()
    history(client, (90, "online"))
    deaf = [heard(number, now - (60 - number) * MINUTE_MS, windows=0, silent=0) for number in range(60)]
    client.store.write([(DEVICE, record) for record in deaf])
    assert told(client) == [("missing", 57)]


def test_readings_and_records_of_an_offline_time_that_came_later_end_it(client: Client) -> None:
    """What a device heard while it had no connection is no absence; its readings explain a time, too."""
    now = client.store.now()
    history(client, (50, "offline"), (20, "online"))
    later = [heard(number, now - (40 - number) * MINUTE_MS, silent=0, speech=60) for number in range(10)]
    records = [reading(100 + number, now - (20 - number) * MINUTE_MS) for number in range(20)]
    client.store.write([(DEVICE, record) for record in [*later, *records]])
    assert told(client, f"step=1m&start={now / 1000 - 3600}") == [("offline", 9), ("offline", 11)]


def test_steps_in_which_most_was_uncertain_are_a_span(client: Client, now: int) -> None:
    """The fixture's last reading is uncertain, so that its step is."""
    (span,) = client.get(f"{URL}?start={now / 1000 - 60}&end={now / 1000 + 10}&step=10s")["spans"]
    assert span["kind"] == "uncertain"


@pytest.mark.parametrize("plot", ["timeline", "histogram", "mean"])
@pytest.mark.parametrize("zone", ["utc", "Europe/Berlin"])
def test_plots_are_images(client: Client, now: int, plot: str, zone: str) -> None:
    """Each plot comes as PNG and as SVG, whatever the device is called."""
    client.store.write([(DEVICE, status(connection=2, name="$\\frac{1}$ <b>"))])
    png, svg = client.ask(f"{URL}/plots/{plot}.png?tz={zone}"), client.ask(f"{URL}/plots/{plot}.svg")
    assert (png.mimetype, png.data[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    assert (svg.mimetype, b"<svg" in svg.data) == ("image/svg+xml", True)


def test_the_timeline_says_what_its_shades_mean(client: Client) -> None:
    """Each kind of span that there is has a name in the legend, and a line has a gap where there is nothing."""
    steps, nothing = np.arange(4) * HOUR_MS, np.array([0.5, np.nan, 0.4, 0.6])
    grid = Grid(Range(0, 4 * HOUR_MS), HOUR_MS, steps, {"ANG": nothing}, np.array([1, 0, 1, 1]), np.zeros(4, int))
    kinds = ("silence", "uncertain", "paused", "offline", "missing")
    spans = [Span(kind, number * MINUTE_MS, (number + 1) * MINUTE_MS) for number, kind in enumerate(kinds)]
    figure = plots.timeline("Kitchen", grid, spans, grid.range, UTC)
    shades = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shades == ["Silence", "Uncertain", "Paused", "Offline", "Nothing received"]
    line, alone = figure.axes[0].lines
    assert np.isnan(line.get_ydata()).tolist() == [False, True, False, False]
    assert alone.get_ydata().tolist() == [0.5]


def test_the_axis_is_in_the_time_of_the_zone(client: Client, now: int) -> None:
    """The same noon is 12:00 in UTC and 21:00 in Tokyo, and the axis says which."""
    query = "start=2026-07-01T11:30:00Z&end=2026-07-01T12:30:00Z"
    words = {}
    for zone in ("UTC", "Asia/Tokyo"):
        svg = client.ask(f"{URL}/plots/timeline.svg?{query}&tz={zone}").text
        words[zone] = set(re.findall(r"<!-- (.*?) -->", svg))
    assert {"12:00", "Time (UTC)"} <= words["UTC"]
    assert {"21:00", "Time (JST)"} <= words["Asia/Tokyo"]


def test_a_picture_that_the_client_has_is_not_drawn_again(
    client: Client, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its tag the answer is 304 without drawing; another reading, zone or form is another picture."""
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
