"""The three pictures, from what the REST API answers."""

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

from plotly import graph_objects

from dashboard import figures

EMOTIONS = {"ANG": {"name": "Anger", "colour": "#c00"}, "NEU": {"name": "Neutral", "colour": "#555"}}
SPANS = {
    "offline": {"name": "Offline", "colour": "#ddd"},
    "missing": {"name": "Nothing received", "colour": "#fcc"},
}
DEVICE: dict[str, Any] = {
    "mac_address": "aa:bb:cc:dd:ee:ff",
    "labels": ["ANG", "NEU"],
    "start": "2026-07-01T10:00:00.000Z",
    "end": "2026-07-01T10:10:00.000Z",
    "timestamps": [1_782_900_000_000, 1_782_900_060_000, 1_782_900_120_000],
    "timeseries_ANG": [0.2, None, 0.4],
    "timeseries_NEU": [0.8, None, 0.6],
    "spans": [
        {"kind": "offline", "start": "2026-07-01T10:01:00.000Z", "end": "2026-07-01T10:02:00.000Z"},
        {"kind": "of a later version", "start": "2026-07-01T10:01:00.000Z", "end": "2026-07-01T10:02:00.000Z"},
    ],
}


def test_gaps_stay_gaps_and_lone_points_are_seen() -> None:
    """Null is not bridged, and a value without neighbours gets a marker."""
    anger = figures.timeline(DEVICE, EMOTIONS, SPANS, UTC)["data"][0]

    assert anger["name"] == "Anger"
    assert anger["y"] == [0.2, None, 0.4]
    assert anger["connectgaps"] is False
    assert anger["marker"]["size"] == [5, 0, 5]


def test_known_spans_are_shaded_and_named_and_unknown_ones_are_left_out() -> None:
    """`offline` is drawn and stands in the legend; a kind of a newer server does no harm."""
    figure = figures.timeline(DEVICE, EMOTIONS, SPANS, UTC)

    assert [(shape["x0"][11:16], shape["x1"][11:16]) for shape in figure["layout"]["shapes"]] == [("10:01", "10:02")]
    assert [trace["name"] for trace in figure["data"]] == ["Anger", "Neutral", "Offline"]


def test_every_kind_of_span_has_its_name_and_shade() -> None:
    """What explains a gap is told apart, and named once however often it occurs."""
    spans = [DEVICE["spans"][0] | {"kind": kind} for kind in ("missing", "offline")]
    figure = figures.timeline(DEVICE | {"spans": spans + spans}, EMOTIONS, SPANS, UTC)

    assert [shape["fillcolor"] for shape in figure["layout"]["shapes"]] == ["#ddd", "#ddd", "#fcc", "#fcc"]
    assert [trace["name"] for trace in figure["data"][2:]] == ["Offline", "Nothing received"]


def test_times_are_those_of_the_viewer() -> None:
    """In Rome in July, ten o'clock UTC is twelve."""
    figure = figures.timeline(DEVICE, EMOTIONS, SPANS, ZoneInfo("Europe/Rome"))

    assert figure["data"][0]["x"][0].startswith("2026-07-01T12:00:00")
    assert figure["layout"]["xaxis"]["range"][0].startswith("2026-07-01T12:00:00")


def test_a_night_with_a_change_of_clocks_is_not_folded() -> None:
    """All times of a figure have one offset, which its axis names; plotly draws no other."""
    night = DEVICE | {
        "start": "2026-10-24T23:00:00.000Z",
        "end": "2026-10-25T03:00:00.000Z",
        "timestamps": [1_792_886_400_000, 1_792_890_000_000, 1_792_893_600_000],  # 00:00, 01:00 and 02:00 UTC
        "spans": [{"kind": "offline", "start": "2026-10-25T00:30:00.000Z", "end": "2026-10-25T01:30:00.000Z"}],
    }
    figure = figures.timeline(night, EMOTIONS, SPANS, ZoneInfo("Europe/Rome"))

    assert [time[11:16] for time in figure["data"][0]["x"]] == ["01:00", "02:00", "03:00"]
    assert [edge[11:16] for edge in figure["layout"]["xaxis"]["range"]] == ["00:00", "04:00"]
    assert [figure["layout"]["shapes"][0][edge][11:16] for edge in ("x0", "x1")] == ["01:30", "02:30"]
    assert figure["layout"]["xaxis"]["title"]["text"] == "time (CET, UTC+01:00)"


def test_a_label_that_the_device_no_longer_has_is_still_drawn() -> None:
    """Series of an earlier model keep their label as name."""
    figure = figures.timeline(DEVICE | {"timeseries_SAD": [0.1, 0.1, 0.1]}, EMOTIONS, SPANS, UTC)

    assert "SAD" in [trace["name"] for trace in figure["data"]]


def test_an_empty_range_draws_empty_pictures() -> None:
    """No readings is no error."""
    nothing = {"mean_confidence": None, "histogram": {"edges": [0.0, 0.5, 1.0], "won": [0, 0], "all": [0, 0]}}
    summary = {"labels": {"ANG": nothing}, "overall": {"mean_confidence": None}}
    empty = DEVICE | {"timestamps": [], "timeseries_ANG": [], "timeseries_NEU": [], "spans": []}

    line, bars, bar = figures.timeline(empty, EMOTIONS, SPANS, UTC), figures.histogram(summary, EMOTIONS), figures.means
    assert line["data"][0]["y"] == []
    assert bars["data"][0]["y"] == [0, 0]
    assert bar(summary, EMOTIONS)["data"][0]["text"] == ["no readings", "no readings"]
    for figure in (line, bars):
        assert [words["text"] for words in figure["layout"]["annotations"]] == ["no readings in this range"]


def test_every_field_is_one_that_plotly_knows() -> None:
    """Plotly's own classes, which refuse what they do not know, take each figure as it is."""
    histogram = {"edges": [0.0, 0.5, 1.0], "won": [0, 1], "all": [1, 1]}
    some = {"mean_confidence": 0.7, "histogram": histogram}
    summary = {"labels": {"ANG": some}, "overall": {"mean_confidence": 0.7}}
    drawn = [figures.timeline(DEVICE, EMOTIONS, SPANS, UTC), figures.histogram(summary, EMOTIONS)]
    for figure in [*drawn, figures.means(summary, EMOTIONS), figures.EMPTY]:
        graph_objects.Figure(figure)
