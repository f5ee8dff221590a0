"""The page: its layout, and what is drawn again when there is news."""

import math
import time
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.exceptions import PreventUpdate
from flask import Flask

from dashboard import figures
from dashboard.api import Api, ApiError
from dashboard.news import News

LOOK_MS = 400
"""How often a browser asks whether there is news."""
RANGES = {"5 minutes": 300, "1 hour": 3_600, "24 hours": 86_400, "7 days": 7 * 86_400}
POINTS = 150
"""On a line. They are at least two seconds apart: readings come about once a second, so shorter steps may be empty."""
_DRAWINGS = 32
"""Drawings kept for other viewers."""
_FRESH_S = 60
"""How long the list shows the last reading of a device."""
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


def create_page(flask: Flask, api: Api, news: News) -> Dash:
    """Return the Dash application, mounted on a Flask one; all scripts and styles are served by itself."""
    # Dash takes a Flask application; its types forget to say so, here and below.
    page = Dash("dashboard", server=flask, title="moodwire", update_title="", serve_locally=True)  # type: ignore[arg-type]
    page.layout = _layout
    page.clientside_callback(  # type: ignore[no-untyped-call]
        "() => Intl.DateTimeFormat().resolvedOptions().timeZone", Output("zone", "data"), Input("zone", "id")
    )
    drawings = _Drawings(api)

    @page.callback(
        Output("list-mark", "data"),
        Output("device-mark", "data"),
        Input("tick", "n_intervals"),
        State("devices", "value"),
        State("list-mark", "data"),
        State("device-mark", "data"),
    )
    def look(_tick: int, chosen: str | None, list_mark: str | None, device_mark: str | None) -> tuple[Any, Any]:
        of_all, of_one = news.list_mark(), news.mark(chosen or "")
        if (of_all, of_one) == (list_mark, device_mark):
            raise PreventUpdate
        return no_update if of_all == list_mark else of_all, no_update if of_one == device_mark else of_one

    @page.callback(
        Output("devices", "options"),
        Output("devices", "value"),
        Output("problem", "children"),
        Output("notice", "children"),
        Input("list-mark", "data"),
        State("devices", "value"),
    )
    def list_devices(_mark: str | None, chosen: str | None) -> tuple[Any, Any, str, Any]:
        try:
            options, notice = drawings.devices(news.list_mark())
        except ApiError as error:
            return no_update, no_update, str(error), no_update
        known = [option["value"] for option in options]
        kept = chosen if chosen in known else next(iter(known), None)
        problem = "" if known else "No device has been heard yet. The first reading takes a few seconds of speech."
        return options, no_update if kept == chosen else kept, problem, notice

    @page.callback(
        Output("headline", "children"),
        Output("timeline", "figure"),
        Output("histogram", "figure"),
        Output("means", "figure"),
        Output("facts", "children"),
        Input("device-mark", "data"),
        Input("devices", "value"),
        Input("range", "value"),
        Input("zone", "data"),
        # Without this, a browser that draws slower than news comes would never finish a drawing.
        running=[(Output("tick", "disabled"), True, False)],
    )
    def draw_device(_mark: str | None, chosen: str | None, range_s: int, zone: str | None) -> tuple[Any, ...]:
        if chosen is None:
            return "", figures.EMPTY, figures.EMPTY, figures.EMPTY, ""
        try:
            return drawings.device(news.mark(chosen), chosen, range_s, zone)
        except ApiError as error:
            return html.P(str(error), className="problem"), *(no_update,) * 4

    return page


def step_s(range_s: int) -> int:
    """Return the length of a step in seconds: a step above a minute has whole minutes, as the server wants it."""
    step = range_s // POINTS
    return step if step <= 60 else math.ceil(step / 60) * 60


class _Drawings:
    """What the page shows, asked for and drawn once for each mark, for all viewers."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.devices = lru_cache(1)(self._devices)
        self.device = lru_cache(_DRAWINGS)(self._device)

    def _devices(self, _mark: str) -> tuple[list[dict[str, Any]], str]:
        """Return the list of devices, and the notice."""
        found, meta = self._api.devices(), self._api.meta()
        return [{"label": _card(device, meta["emotions"]), "value": device["mac_address"]} for device in found], meta[
            "notice"
        ]

    def _device(self, _mark: str, mac: str, range_s: int, zone_name: str | None) -> tuple[Any, ...]:
        """Return what is shown of one device: headline, three figures and facts."""
        start_s, meta = time.time() - range_s, self._api.meta()
        emotions, spans = meta["emotions"], meta.get("spans", {})  # an older server has none
        device, summary = self._api.device(mac, start_s, step_s(range_s)), self._api.summary(mac, start_s)
        return (
            _headline(device),
            figures.timeline(device, emotions, spans, _zone(zone_name)),
            figures.histogram(summary, emotions),
            figures.means(summary, emotions),
            _facts(device, summary),
        )


def _layout() -> html.Div:
    return html.Div(
        [
            dcc.Interval(id="tick", interval=LOOK_MS),
            *(dcc.Store(id=name) for name in ("zone", "list-mark", "device-mark")),
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
                            _panel("timeline", "Score over time", 350, "panel wide"),
                            html.Div(
                                [
                                    _panel("histogram", "Confidence of the winning emotion", 290, "panel"),
                                    _panel("means", "Mean confidence where it won", 290, "panel"),
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


def _panel(name: str, title: str, height: int, style: str) -> html.Div:
    """Return a picture with its title above it."""
    graph = dcc.Graph(id=name, figure=figures.EMPTY, config=GRAPH, style={"height": height})
    return html.Div([html.H3(title), graph], className=style)


def _card(device: dict[str, Any], emotions: figures.Looks) -> html.Div:
    """Return what the list shows of one device."""
    latest, state = device["latest"], device["state"]
    top: Children = []
    if latest and time.time() - latest["at"] / 1000 < _FRESH_S:
        label = max(latest["scores"], key=latest["scores"].get)
        emotion = emotions.get(label, {"name": label, "colour": figures.OTHER})
        if latest["state"] == "speech":
            top = [html.Span(emotion["name"], className="top", style={"--emotion": emotion["colour"]})]
        else:
            top = [html.Span("uncertain", className="top unsure", title=f"perhaps {emotion['name']}")]
    lines = [f"{STATES[state]} · {device['mac_address']}"]
    if state == "offline" and device["last_seen"]:
        lines = [f"{STATES[state]} · last seen {_ago(device['last_seen'])}", device["mac_address"]]
    return html.Div(
        [
            html.Div([html.Span(className=f"dot {state}"), html.Strong(device["name"]), *top]),
            *map(html.Small, lines),
        ],
        className="card",
    )


def _ago(then: str) -> str:
    """Return how long ago a time was, in its largest unit."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(then)).total_seconds()
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length_s:
            return f"{int(seconds / length_s)} {unit} ago"
    return "just now"


def _headline(device: dict[str, Any]) -> Children:
    parts: Children = [html.H2(device["name"]), html.Span(f"model {device['model']}", className="quiet")]
    if device["duplicate_identity"]:
        parts.append(html.Strong("Two devices use this id at the same time.", className="problem"))
    return parts + [html.Strong(warning, className="problem") for warning in _warnings(device)]


def _warnings(device: dict[str, Any]) -> list[str]:
    """Return what an online device reports as wrong with itself."""
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
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of time zones
        return UTC
