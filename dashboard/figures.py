"""The three figures of one device for plotly.js, made from the responses of the REST API.

They are plain dictionaries: plotly's own classes validate each field, which took most of the dashboard's CPU time, and
add a template of 7 KB to each figure.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from itertools import pairwise
from typing import Any

Looks = dict[str, dict[str, str]]
"""Name and colour of each emotion by label, or of each span by kind, as `/meta` gives them."""
Figure = dict[str, Any]
"""`data` and `layout`, as https://plotly.com/javascript/reference/ has them."""

SERIES = "timeseries_"
"""What the names of a device's series begin with; the label follows."""
INK = "#22303c"
FAINT = "#e3e8ec"
OTHER = "#6b7b88"
"""Colour of a label that the API does not know."""
EMPTY: Figure = {"data": [], "layout": {"xaxis": {"visible": False}, "yaxis": {"visible": False}}}
"""Before there is anything to draw."""


def timeline(device: dict[str, Any], emotions: Looks, spans: Looks, zone: tzinfo) -> Figure:
    """Return the mean score of each emotion over time; where nothing was heard the line breaks."""
    # plotly drops the offset of a time: with two in one figure, an hour would be drawn over another.
    zone = _fixed(zone, datetime.fromisoformat(device["end"]))
    times = [datetime.fromtimestamp(ms / 1000, zone).isoformat() for ms in device["timestamps"]]
    traces = [
        _line(times, scores, *_look(key.removeprefix(SERIES), emotions))
        for key, scores in device.items()
        if key.startswith(SERIES)
    ]
    shapes = []
    for kind, look in spans.items():
        shades = [_shade(span, look["colour"], zone) for span in device["spans"] if span["kind"] == kind]
        shapes += shades
        if shades:  # shapes have no entry in the legend, a trace without points has
            mark = {"symbol": "square", "size": 12, "color": look["colour"]}
            traces.append(
                {"type": "scatter", "x": [None], "y": [None], "name": look["name"], "mode": "markers", "marker": mark}
            )
    title = f"time ({zone.tzname(None)})"
    layout = _layout(
        {"type": "date", "range": _edges(device, zone), "title": _title(title)},
        {"range": [0, 1], "title": _title("score")},
        nothing=not times,
    )
    more = {"shapes": shapes, "hovermode": "x unified", "uirevision": device["mac_address"]}
    return {"data": traces, "layout": layout | more}


def histogram(summary: dict[str, Any], emotions: Looks) -> Figure:
    """Return the histogram of confidence of each emotion where it won."""
    bars = []
    for label, facts in summary["labels"].items():
        name, colour = _look(label, emotions)
        edges = facts["histogram"]["edges"]
        bars.append(
            {
                "type": "bar",
                "x": [(low + high) / 2 for low, high in pairwise(edges)],
                "y": facts["histogram"]["won"],
                "width": [(high - low) * 0.92 for low, high in pairwise(edges)],
                "name": name,
                "marker": {"color": colour},
                "hovertemplate": "%{y} readings",
            }
        )
    nothing = summary["overall"]["mean_confidence"] is None
    heights = {"range": [0, 1], "showticklabels": False} if nothing else {"rangemode": "tozero"}
    layout = _layout(
        {"range": [0, 1], "dtick": 0.1, "title": _title("confidence")},
        heights | {"title": _title("readings")},
        nothing=nothing,
    )
    return {"data": bars, "layout": layout | {"barmode": "stack", "showlegend": True}}


def means(summary: dict[str, Any], emotions: Looks) -> Figure:
    """Return the mean confidence of each emotion where it won, and over all."""
    bars = [(*_look(label, emotions), facts["mean_confidence"]) for label, facts in summary["labels"].items()]
    bars.append(("Overall", INK, summary["overall"]["mean_confidence"]))
    trace = {
        "type": "bar",
        "x": [name for name, _, _ in bars],
        "y": [mean for _, _, mean in bars],
        "marker": {"color": [colour for _, colour, _ in bars]},
        "text": ["no readings" if mean is None else f"{mean:.2f}" for _, _, mean in bars],
        "textposition": "outside",
        "textfont": {"size": 12},
        "textangle": 0,
        "constraintext": "none",
        "hoverinfo": "skip",
    }
    heights = {"range": [0, 1.08], "tickvals": [0, 0.25, 0.5, 0.75, 1], "title": _title("mean confidence")}
    return {"data": [trace], "layout": _layout({"type": "category"}, heights)}


def _line(times: list[str], scores: Sequence[float | None], name: str, colour: str) -> dict[str, Any]:
    """Return one emotion's line."""
    sizes = [5 if _alone(scores, i) else 0 for i in range(len(scores))]
    return {
        "type": "scatter",
        "x": times,
        "y": scores,
        "name": name,
        "mode": "lines+markers",
        "connectgaps": False,
        "line": {"color": colour, "width": 2},
        "marker": {"size": sizes, "color": colour, "line": {"width": 0}},
        "hovertemplate": "%{y:.2f}",
    }


def _shade(span: dict[str, Any], colour: str, zone: tzinfo) -> dict[str, Any]:
    """Return the shade of a span, over the whole height."""
    start, end = _edges(span, zone)
    place = {"type": "rect", "xref": "x", "yref": "y domain", "x0": start, "x1": end, "y0": 0, "y1": 1}
    return place | {"fillcolor": colour, "line": {"width": 0}, "layer": "below"}


def _layout(x: dict[str, Any], y: dict[str, Any], *, nothing: bool = False) -> dict[str, Any]:
    """Return the layout that all figures share, with their axes, and a note if there is nothing to draw."""
    axis = {
        "gridcolor": FAINT,
        "zeroline": False,
        "automargin": True,
        "ticks": "outside",
        "ticklen": 5,
        "tickcolor": "rgba(0,0,0,0)",
    }
    words = {"text": "no readings in this range", "font": {"size": 15, "color": OTHER}}
    middle = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
    # Above the plot, so that it pushes the plot down when it needs several rows, as on a phone.
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
    return {
        "font": {"family": "system-ui, sans-serif", "color": INK, "size": 13},
        "margin": {"l": 56, "r": 16, "t": 12, "b": 44},
        "legend": legend,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": axis | x,
        "yaxis": axis | y,
        "annotations": [words | middle] if nothing else [],
    }


def _title(text: str) -> dict[str, Any]:
    return {"text": text, "standoff": 6}


def _edges(span: dict[str, Any], zone: tzinfo) -> list[str]:
    """Return start and end in the viewer's time zone, ISO 8601."""
    return [datetime.fromisoformat(span[edge]).astimezone(zone).isoformat() for edge in ("start", "end")]


def _fixed(zone: tzinfo, at: datetime) -> timezone:
    """Return the zone without its changes, as it is at a time: its name has the offset, `CET, UTC+01:00`."""
    local = at.astimezone(zone)
    offset = timezone(local.utcoffset() or timedelta())
    names = [local.tzname(), offset.tzname(None)]
    return timezone(offset.utcoffset(None), ", ".join(dict.fromkeys(name for name in names if name)))


def _look(label: str, emotions: Looks) -> tuple[str, str]:
    known = emotions.get(label, {"name": label, "colour": OTHER})
    return known["name"], known["colour"]


def _alone(scores: Sequence[float | None], i: int) -> bool:
    """Return whether a value has no neighbour to draw a line to, so that only a marker shows it."""
    before = scores[i - 1] if i else None
    after = scores[i + 1] if i + 1 < len(scores) else None
    return scores[i] is not None and before is None and after is None
