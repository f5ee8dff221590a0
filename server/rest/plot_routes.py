"""The routes' work that draws: which plot, of which data, in which zone's time."""

import functools
import hashlib
import importlib.metadata
import pickle
import zoneinfo
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, tzinfo
from http import HTTPStatus

from flask import Response
from matplotlib.figure import Figure

from broker import topics
from server.errors import ProblemError
from server.query import series, time_range
from server.query.devices import DeviceLookup
from server.query.series import Summary
from server.rest import http_headers, params, plots
from server.store.layout import MINUTE
from server.store.types import Device

_MINUTE_MS = 60_000

_Draw = functools.partial[Figure]
_VERSION = importlib.metadata.version("moodwire")


class Pictures:
    """Draws what a store knows."""

    def __init__(self, lookup: DeviceLookup) -> None:
        self._lookup = lookup
        # One thread, since matplotlib does not promise to be safe in several, and each would keep memory of its own.
        self._painter = ThreadPoolExecutor(1, "painter")

    def plot(self, path: params.PlotPath, query: params.PlotParams) -> Response:
        """Plot: confidence over time, its histogram, or its means, for each emotion."""
        prepare = {"timeline": self._timeline, "histogram": self._histogram, "mean": self._mean}.get(path.plot)
        if prepare is None or path.form not in params.FORMS:
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                f"there is no plot {path.plot}.{path.form}: timeline, histogram and mean are there, as png and svg",
            )
        form: plots.Form = "png" if path.form == "png" else "svg"
        device, zone = self._lookup.find(path.mac), _zone(query.tz)
        draw = prepare(device, query, zone)
        etag = _etag(form, draw)
        if http_headers.is_known(etag):
            return http_headers.not_changed(etag)  # without drawing, which is what takes the time
        image = self._painter.submit(lambda: plots.render(draw(), form)).result()
        response = Response(image, mimetype="image/png" if form == "png" else "image/svg+xml")
        response.set_etag(etag, weak=True)
        return http_headers.revalidated(response)

    def _timeline(self, device: Device, query: params.PlotParams, zone: tzinfo) -> _Draw:
        range_ = time_range.parse_range(query.start, query.end, self._lookup.last_hour(device))
        raw_is_kept = self._lookup.raw_is_kept(range_)
        step_ms = time_range.parse_step(query.step, range_, raw_is_kept=raw_is_kept, picked_points=plots.POINTS)
        if not query.end:  # so that the picture is the same until it has a new step
            range_ = time_range.widen(range_, step_ms)
        grid = series.grid(self._lookup.store, device.id, range_, step_ms)
        spans = self._lookup.spans(device, grid)
        return functools.partial(plots.timeline, _called(device), grid, spans, range_, zone)

    def _histogram(self, device: Device, query: params.PlotParams, zone: tzinfo) -> _Draw:
        return functools.partial(plots.histogram, _called(device), self._summary(device, query), zone)

    def _mean(self, device: Device, query: params.PlotParams, zone: tzinfo) -> _Draw:
        return functools.partial(plots.mean, _called(device), self._summary(device, query), zone)

    def _summary(self, device: Device, query: params.PlotParams) -> Summary:
        range_ = time_range.parse_range(query.start, query.end, self._lookup.everything(device))
        if not query.end:
            range_ = time_range.widen(range_, MINUTE.slot_ms)
        return self._lookup.summary(device, range_)


def _etag(form: str, draw: _Draw) -> str:
    """Return a tag of all that a picture is made of."""
    made_of = (_VERSION, form, draw.func.__name__, draw.args)
    return hashlib.sha256(pickle.dumps(made_of)).hexdigest()[:32]


def _called(device: Device) -> str:
    """Return a device's name with its address, for a title."""
    mac = topics.mac_address(device.id)
    return f"{device.name} ({mac})" if device.name else mac


def _zone(name: str) -> tzinfo:
    if name.upper() == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, f"tz {name!r} is not a time zone: one like Europe/Berlin or UTC is right"
        ) from error
