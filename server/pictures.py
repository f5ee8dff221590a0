"""The routes' work that draws: which plot, of which data, in which zone's time."""

import threading
import zoneinfo
from datetime import UTC, tzinfo
from http import HTTPStatus

from flask import Response
from matplotlib.figure import Figure

from broker import topics
from server import asked, plots, ranges, series
from server.lookup import Lookup
from server.problems import ProblemError
from server.store import Device


class Pictures:
    """Draws what a store knows."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._drawing = threading.Lock()

    def plot(self, path: asked.Plot, query: asked.PlotQuery) -> Response:
        """Plot: confidence over time, its histogram, or its means, for each emotion."""
        draw = {"timeline": self._timeline, "histogram": self._histogram, "mean": self._mean}.get(path.plot)
        if draw is None or path.form not in asked.FORMS:
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                f"there is no plot {path.plot}.{path.form}: timeline, histogram and mean are there, as png and svg",
            )
        form: plots.Form = "png" if path.form == "png" else "svg"
        device, zone = self._lookup.find(path.mac), _zone(query.tz)
        with self._drawing:  # matplotlib does not promise to be safe in threads
            image = plots.render(draw(device, query, zone), form)
        return Response(image, mimetype="image/png" if form == "png" else "image/svg+xml")

    def _timeline(self, device: Device, query: asked.PlotQuery, zone: tzinfo) -> Figure:
        range_ = ranges.parse_range(query.start, query.end, self._lookup.last_hour(device))
        raw_is_kept = self._lookup.raw_is_kept(range_)
        step_ms = ranges.parse_step(query.step, range_, raw_is_kept=raw_is_kept, picked_points=plots.POINTS)
        grid = series.grid(self._lookup.store, device.id, range_, step_ms)
        return plots.timeline(_called(device), grid, range_, zone)

    def _histogram(self, device: Device, query: asked.PlotQuery, zone: tzinfo) -> Figure:
        return plots.histogram(_called(device), self._lookup.summary(device, query.start, query.end), zone)

    def _mean(self, device: Device, query: asked.PlotQuery, zone: tzinfo) -> Figure:
        return plots.mean(_called(device), self._lookup.summary(device, query.start, query.end), zone)


def _called(device: Device) -> str:
    """Return a device's name with its address, for a title."""
    mac = topics.mac_address(device.id)
    return f"{device.name} ({mac})" if device.name else mac


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, f"tz {name!r} is not a time zone: one like Europe/Berlin or UTC is right"
        ) from error
