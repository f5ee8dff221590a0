"""The route that draws: which plot, of which data, in which time zone."""

import functools
import hashlib
import importlib.metadata
import pickle
from datetime import tzinfo
from http import HTTPStatus

from flask import Response, g
from matplotlib.figure import Figure

from broker import topics
from server.errors import ProblemError
from server.query import series, spread, time_range
from server.query.summary import Summary
from server.query.time_range import Range
from server.rest import http_headers, openapi, params, plots, zones
from server.rest.blueprint import lookup, make_blueprint, services
from server.rest.painter import Painter
from server.rest.plot_text import Subject
from server.store.rollups import MINUTE
from server.store.types import Device

blueprint = make_blueprint("plots")

_Draw = functools.partial[Figure]
_painter = Painter()
_MIMETYPES = {"png": "image/png", "svg": "image/svg+xml"}
_INCHES = 5, 20
"""Widths on which titles and labels have room."""
_VERSION = importlib.metadata.version("moodwire")


@blueprint.get(
    "/devices/<mac>/plots/<plot>.<form>",
    tags=openapi.SINGLE_DEVICE,
    responses={200: openapi.IMAGES},
    openapi_extensions=openapi.VIEWER,
)
def plot(path: params.PlotPath, query: params.PlotParams) -> Response:
    """Plot: confidence over time, its histogram, or its means, for each emotion."""
    prepare = {"timeline": _timeline, "histogram": _histogram, "mean": _mean}.get(path.plot)
    mimetype = _MIMETYPES.get(path.form)
    if prepare is None or mimetype is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            f"no plot {path.plot}.{path.form}: ask for timeline, histogram or mean, as png or svg",
        )
    device, zone = lookup().find(path.mac), zones.find(query.tz)
    draw = prepare(device, query, zone)
    etag = _etag(path.form, draw)
    if http_headers.client_has(etag):
        return http_headers.not_modified(etag)  # without drawing, which is what takes the time
    image = _painter.paint(draw, path.form, g.token.name)
    response = Response(image, mimetype=mimetype)
    response.set_etag(etag, weak=True)
    return http_headers.revalidate(response)


def _timeline(device: Device, query: params.PlotParams, zone: tzinfo) -> _Draw:
    range_ = time_range.parse_range(query.start, query.end, lookup().last_hour(device))
    raw_is_kept = lookup().raw_is_kept(range_)
    step_ms = time_range.parse_step(query.step, range_, raw_is_kept=raw_is_kept, picked_points=plots.POINTS)
    if not query.end:  # so that the plot is the same until it has a new step
        range_ = time_range.widen(range_, step_ms)
    grid = series.grid(services().store, device.id, range_, step_ms)
    spans, quartiles = lookup().spans(device, grid), spread.spread(services().store, device.id, grid)
    return functools.partial(plots.timeline, _frame(device, range_, zone, query), grid, quartiles, spans)


def _histogram(device: Device, query: params.PlotParams, zone: tzinfo) -> _Draw:
    summed = _summary(device, query)
    return functools.partial(plots.histogram, _frame(device, summed.range, zone, query), summed)


def _mean(device: Device, query: params.PlotParams, zone: tzinfo) -> _Draw:
    summed = _summary(device, query)
    return functools.partial(plots.mean, _frame(device, summed.range, zone, query), summed)


def _summary(device: Device, query: params.PlotParams) -> Summary:
    range_ = time_range.parse_range(query.start, query.end, lookup().everything(device))
    if not query.end:
        range_ = time_range.widen(range_, MINUTE.slot_ms)
    return lookup().summary(device, range_)


def _etag(form: str, draw: _Draw) -> str:
    """Return a hash of all that a plot is made of."""
    made_of = (_VERSION, form, draw.func.__name__, draw.args)
    return hashlib.sha256(pickle.dumps(made_of)).hexdigest()[:32]


def _frame(device: Device, range_: Range, zone: tzinfo, query: params.PlotParams) -> plots.Frame:
    inches = query.width / query.dpi
    least, most = _INCHES
    if not least <= inches <= most:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"width {query.width} and dpi {query.dpi} make {inches:.1f} inches: {least} to {most} can be drawn",
        )
    subject = Subject(device.name, topics.mac_address(device.id))
    return plots.Frame(subject, range_, zone, plots.Look(query.dark, query.width, query.dpi))
