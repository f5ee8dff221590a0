"""The three pictures of one device, as plotly figures made from what the REST API answers."""

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

Emotions = dict[str, dict[str, str]]
"""Full name and colour by label, as `/meta` gives them."""

SERIES = "timeseries_"
"""What the names of a device's series begin with; the label follows."""
INK = "#22303c"
FAINT = "#e3e8ec"
SPANS = {"silence": "rgba(120,140,155,0.10)", "offline": "rgba(60,60,60,0.18)"}
OTHER = "#6b7b88"
"""Of a label that the API does not know."""
EMPTY = go.Figure(layout={"xaxis": {"visible": False}, "yaxis": {"visible": False}, "template": "plotly_white"})
"""Before there is anything to draw."""


def timeline(device: dict[str, Any], emotions: Emotions, zone: tzinfo) -> go.Figure:
    """Return the mean score of each emotion over time; where nothing was heard the line breaks."""
    figure = _figure("Score over time", "score")
    times = [datetime.fromtimestamp(ms / 1000, zone) for ms in device["timestamps"]]
    for key, scores in device.items():
        if not key.startswith(SERIES):
            continue
        name, colour = _look(key.removeprefix(SERIES), emotions)
        alone = [_alone(scores, i) for i in range(len(scores))]
        figure.add_scatter(
            x=times,
            y=scores,
            name=name,
            mode="lines+markers",
            connectgaps=False,
            line={"color": colour, "width": 2},
            marker={"size": [5 if lonely else 0 for lonely in alone], "line": {"width": 0}},
            hovertemplate="%{y:.2f}",
        )
    for kind, colour in SPANS.items():
        spans = [span for span in device["spans"] if span["kind"] == kind]
        for span in spans:
            start, end = _edges(span, zone)
            figure.add_vrect(x0=start, x1=end, fillcolor=colour, line_width=0, layer="below")
        if spans:  # an entry in the legend, which shapes do not have of themselves
            mark = {"symbol": "square", "size": 12, "color": colour}
            figure.add_scatter(x=[None], y=[None], name=kind, mode="markers", marker=mark)
    figure.update_xaxes(range=_edges(device, zone), title=f"time ({zone.tzname(datetime.now(UTC)) or zone})")
    figure.update_yaxes(range=[0, 1])
    figure.update_layout(hovermode="x unified", uirevision=device["mac_address"])
    return figure


def histogram(summary: dict[str, Any], emotions: Emotions) -> go.Figure:
    """Return how often each emotion won with which confidence."""
    figure = _figure("Confidence of the winning emotion", "readings")
    for label, facts in summary["labels"].items():
        name, colour = _look(label, emotions)
        edges = facts["histogram"]["edges"]
        centres = [(low + high) / 2 for low, high in pairwise(edges)]
        figure.add_bar(
            x=centres,
            y=facts["histogram"]["won"],
            width=[(high - low) * 0.92 for low, high in pairwise(edges)],
            name=name,
            marker_color=colour,
            hovertemplate="%{y} readings",
        )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="confidence", range=[0, 1], dtick=0.1)
    return figure


def means(summary: dict[str, Any], emotions: Emotions) -> go.Figure:
    """Return the mean confidence of each emotion where it won, and over all."""
    figure = _figure("Mean confidence where it won", "mean confidence")
    bars = [(*_look(label, emotions), facts["mean_confidence"]) for label, facts in summary["labels"].items()]
    bars.append(("Overall", INK, summary["overall"]["mean_confidence"]))
    figure.add_bar(
        x=[name for name, _, _ in bars],
        y=[mean for _, _, mean in bars],
        marker_color=[colour for _, colour, _ in bars],
        text=["no readings" if mean is None else f"{mean:.2f}" for _, _, mean in bars],
        textposition="outside",
        showlegend=False,
    )
    figure.update_yaxes(range=[0, 1.08], tickvals=[0, 0.25, 0.5, 0.75, 1])
    return figure


def _figure(title: str, y_title: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        title={"text": title, "font": {"size": 15}, "x": 0.01, "xanchor": "left"},
        template="plotly_white",
        font={"family": "system-ui, sans-serif", "color": INK, "size": 13},
        margin={"l": 56, "r": 16, "t": 48, "b": 48},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.12},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    figure.update_xaxes(gridcolor=FAINT, zeroline=False)
    figure.update_yaxes(gridcolor=FAINT, zeroline=False, title=y_title)
    return figure


def _edges(span: dict[str, Any], zone: tzinfo) -> tuple[datetime, datetime]:
    start, end = (datetime.fromisoformat(span[edge]).astimezone(zone) for edge in ("start", "end"))
    return start, end


def _look(label: str, emotions: Emotions) -> tuple[str, str]:
    known = emotions.get(label, {"name": label, "colour": OTHER})
    return known["name"], known["colour"]


def _alone(scores: Sequence[float | None], i: int) -> bool:
    """Return whether a value has no neighbour to draw a line to, so that only a marker shows it."""
    before = scores[i - 1] if i else None
    after = scores[i + 1] if i + 1 < len(scores) else None
    return scores[i] is not None and before is None and after is None
