"""The page: what stands where, and what is drawn again every two seconds."""

import time
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dash import Dash, Input, Output, State, dcc, html, no_update
from flask import Flask

from dashboard import figures
from dashboard.api import Api, ApiError

REFRESH_MS = 2_000
RANGES = {"5 minutes": 300, "1 hour": 3_600, "24 hours": 86_400, "7 days": 7 * 86_400}
POINTS = 150
"""On a line; at least two seconds apart, since readings a second apart do not keep step with a clock."""
STATES = {"online": "online", "offline": "offline", "paused": "paused", "unknown": "not heard of"}
CAPTURE = {
    "zeros": "The microphone delivers nothing but zeros; is it muted?",
    "flat": "The microphone delivers one value all the time.",
    "stalled": "The microphone is there but delivers nothing.",
    "missing": "The microphone is not there.",
}
"""What a device's health says of its microphone, for people."""
GRAPH: Any = {"displayModeBar": False, "responsive": True}

Children = list[Any]


def create_page(flask: Flask, api: Api) -> Dash:
    """Return the Dash application, mounted on a Flask one; all scripts and styles are served by itself."""
    # Dash takes a Flask application; its types forget to say so, here and below.
    page = Dash("dashboard", server=flask, title="moodwire", update_title="", serve_locally=True)  # type: ignore[arg-type]
    page.layout = _layout
    page.clientside_callback(  # type: ignore[no-untyped-call]
        "() => Intl.DateTimeFormat().resolvedOptions().timeZone", Output("zone", "data"), Input("zone", "id")
    )

    @page.callback(
        Output("devices", "options"),
        Output("devices", "value"),
        Output("problem", "children"),
        Output("notice", "children"),
        Input("tick", "n_intervals"),
        State("devices", "value"),
    )
    def list_devices(_tick: int, chosen: str | None) -> tuple[Any, Any, str, Any]:
        try:
            found, meta = api.devices(), api.meta()
        except ApiError as error:
            return no_update, no_update, str(error), no_update
        options = [{"label": _card(device, meta["emotions"]), "value": device["mac_address"]} for device in found]
        known = [option["value"] for option in options]
        kept = chosen if chosen in known else next(iter(known), None)
        problem = "" if known else "No device has been heard yet. The first reading takes a few seconds of speech."
        return options, no_update if kept == chosen else kept, problem, meta["notice"]

    @page.callback(
        Output("headline", "children"),
        Output("timeline", "figure"),
        Output("histogram", "figure"),
        Output("means", "figure"),
        Output("facts", "children"),
        Input("tick", "n_intervals"),
        Input("devices", "value"),
        Input("range", "value"),
        Input("zone", "data"),
    )
    def draw_device(_tick: int, chosen: str | None, range_s: int, zone: str | None) -> tuple[Any, ...]:
        if chosen is None:
            return "", figures.EMPTY, figures.EMPTY, figures.EMPTY, ""
        start_s = time.time() - range_s
        try:
            device, summary, emotions = (
                api.device(chosen, start_s, range_s // POINTS),
                api.summary(chosen, start_s),
                api.meta()["emotions"],
            )
        except ApiError:
            return (no_update,) * 5  # list_devices says it
        return (
            _headline(device),
            figures.timeline(device, emotions, _zone(zone)),
            figures.histogram(summary, emotions),
            figures.means(summary, emotions),
            _facts(device, summary),
        )

    return page


def _layout() -> html.Div:
    return html.Div(
        [
            dcc.Interval(id="tick", interval=REFRESH_MS),
            dcc.Store(id="zone"),
            html.Header([html.H1("moodwire"), html.Span("emotion in speech, without moving the audio")]),
            html.P(id="problem", role="alert", className="problem"),
            html.Main(
                [
                    html.Nav(
                        [html.H2("Devices"), dcc.RadioItems(id="devices", className="devices")],
                    ),
                    html.Section(
                        [
                            html.Div(
                                [
                                    html.Div(id="headline", className="headline"),
                                    dcc.RadioItems(
                                        id="range",
                                        className="ranges",
                                        inline=True,
                                        options=[{"label": text, "value": s} for text, s in RANGES.items()],
                                        value=RANGES["5 minutes"],
                                    ),
                                ],
                                className="bar",
                            ),
                            dcc.Graph(
                                id="timeline",
                                figure=figures.EMPTY,
                                config=GRAPH,
                                style={"height": 380},
                                className="panel wide",
                            ),
                            html.Div(
                                [
                                    dcc.Graph(
                                        id="histogram",
                                        figure=figures.EMPTY,
                                        config=GRAPH,
                                        style={"height": 330},
                                        className="panel",
                                    ),
                                    dcc.Graph(
                                        id="means",
                                        figure=figures.EMPTY,
                                        config=GRAPH,
                                        style={"height": 330},
                                        className="panel",
                                    ),
                                ],
                                className="pair",
                            ),
                            html.Div(id="facts", className="facts"),
                        ]
                    ),
                ]
            ),
            html.Footer(html.P(id="notice")),
        ]
    )


def _card(device: dict[str, Any], emotions: figures.Emotions) -> html.Div:
    """Return what the list shows of one device."""
    latest = device["latest"]
    top: Children = []
    if latest and time.time() - latest["at"] / 1000 < 60:
        label = max(latest["scores"], key=latest["scores"].get)
        emotion = emotions.get(label, {"name": label, "colour": figures.OTHER})
        text = emotion["name"] if latest["state"] == "speech" else f"{emotion['name']}?"
        top = [html.Span(text, className="top", style={"backgroundColor": emotion["colour"]})]
    return html.Div(
        [
            html.Div([html.Span(className=f"dot {device['state']}"), html.Strong(device["name"]), *top]),
            html.Small(f"{STATES[device['state']]} · {device['mac_address']}"),
        ],
        className="card",
    )


def _headline(device: dict[str, Any]) -> Children:
    parts: Children = [html.H2(device["name"]), html.Span(f"model {device['model']}", className="quiet")]
    if device["duplicate_identity"]:
        parts.append(html.Strong("Two devices use this id at the same time.", className="problem"))
    return parts + [html.Strong(warning, className="problem") for warning in _warnings(device)]


def _warnings(device: dict[str, Any]) -> list[str]:
    """Return what a device that is there says to be wrong with itself."""
    health = device["health"] if device["state"] != "offline" else None
    if not health:
        return []
    found = [CAPTURE[health["capture"]]] if health.get("capture") in CAPTURE else []
    if health.get("outbox") == "full":
        found.append("Its disk is full: readings wait in memory only.")
    if health.get("refused_rows"):
        found.append(f"The server refuses {health['refused_rows']:,} of its records.")
    return found


def _facts(device: dict[str, Any], summary: dict[str, Any]) -> Children:
    missing = summary["completeness"]["missing"]
    return [
        html.Span(f"{summary['readings']:,} readings in this range"),
        html.Span(f"{summary['uncertain']['count']:,} uncertain"),
        html.Span("none missing" if not missing else f"{missing:,} missing"),
        html.Span(f"{device['readings']:,} kept in all"),
    ]


def _zone(name: str | None) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
