"""The routes under `/api/v1`: devices, one device, its summary and plots, deletion, and what emotions are called."""

import functools
import logging
import threading
import zoneinfo
from collections.abc import Callable
from datetime import UTC, tzinfo
from http import HTTPStatus
from typing import Annotated, Any

from flask import Response, jsonify, request
from flask_openapi3.blueprint import APIBlueprint
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict, Field

from broker import topics
from broker.notice import NOTICE
from server import plots, problems, ranges, series
from server.auth import Guard, Role
from server.emotions import EMOTIONS
from server.layout import DAY_MS
from server.problems import ProblemError
from server.ranges import Range, rfc3339
from server.settings import ServerSettings
from server.store import Device, Receipt, Store

audit = logging.getLogger("moodwire.audit")

_DEFAULT_RANGE_MS = ranges.HOUR_MS


class _Mac(BaseModel):
    mac: Annotated[str, Field(description="aa:bb:cc:dd:ee:ff or aabbccddeeff")]


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Page(_Query):
    page_size: Annotated[int, Field(ge=1, le=1000, description="devices in one answer")] = 100
    page_token: Annotated[str, Field(description="next_page_token of the answer before")] = ""


class _Span(_Query):
    start: Annotated[str | None, Field(description="RFC 3339 or Unix seconds; included")] = None
    end: Annotated[str | None, Field(description="RFC 3339 or Unix seconds; not included")] = None


class _Steps(_Span):
    step: Annotated[str | None, Field(description="like 10s, 1m, 1h; left out, the server picks one")] = None


class _Plot(_Mac):
    plot: Annotated[str, Field(description="timeline, histogram or mean")]
    form: Annotated[str, Field(description="png or svg")]


class _PlotQuery(_Steps):
    tz: Annotated[str, Field(description="time zone of the axis, like Europe/Berlin")] = "UTC"


class _Confirm(_Query):
    confirm: Annotated[str, Field(description="must be `all`")] = ""


class Api:
    """The routes' work, over a store."""

    def __init__(self, store: Store, settings: ServerSettings) -> None:
        self._store = store
        self._drawing = threading.Lock()
        self._retention_ms = settings.retention_days * DAY_MS

    def devices(self, query: _Page) -> Response:
        """Devices: all monitored devices, page by page."""
        found = self._store.devices(query.page_token, query.page_size + 1)
        more = len(found) > query.page_size
        shown = found[: query.page_size]
        return jsonify(devices=[_device(device) for device in shown], next_page_token=shown[-1].id if more else "")

    def single_device(self, path: _Mac, query: _Steps) -> Response:
        """SingleDevice: a device and its emotions over time, on a grid of steps."""
        device = self._find(path.mac)
        asked = ranges.parse_range(query.start, query.end, self._last_hour(device))
        step_ms = ranges.parse_step(query.step, asked, raw_is_kept=self._raw_is_kept(asked))
        grid = series.grid(self._store, device.id, asked, step_ms)
        boots = self._boots(device.id, grid.range)
        least_ms = step_ms if step_ms > ranges.HOUR_MS // 60 else 1
        spans = series.spans(self._store, device.id, grid.range, least_ms)
        body: dict[str, Any] = {
            **_device(device),
            "health": device.health,
            "boots": [
                {
                    "boot": boot.boot,
                    "first_at": rfc3339(boot.first_at),
                    "last_at": rfc3339(boot.last_at),
                    "records": boot.records,
                    "missing": boot.missing,
                }
                for boot in boots
            ],
            "duplicate_identity": series.overlapping(boots),
            "start": rfc3339(grid.range.start),
            "end": rfc3339(grid.range.end),
            "step_s": step_ms // 1000,
            "timestamps": grid.timestamps.tolist(),
        }
        for label in grid.means or device.labels:
            means = grid.means[label].tolist() if grid.means else []
            # A nan is a step without a reading, and not equal to itself.
            body[f"timeseries_{label}"] = [round(mean, 4) if mean == mean else None for mean in means]  # noqa: PLR0124
        body["readings_per_step"] = grid.readings.tolist()
        body["uncertain_per_step"] = grid.uncertain.tolist()
        body["spans"] = [{"kind": span.kind, "start": rfc3339(span.start), "end": rfc3339(span.end)} for span in spans]
        return jsonify(body)

    def summary(self, path: _Mac, query: _Span) -> Response:
        """Summary: means, shares and histograms over a range; over everything kept if none is asked for."""
        device = self._find(path.mac)
        result = self._summary(device, query)
        boots = self._boots(device.id, result.range)
        received, missing = sum(boot.records for boot in boots), sum(boot.missing for boot in boots)
        return jsonify(
            mac_address=topics.mac_address(device.id),
            start=rfc3339(result.range.start),
            end=rfc3339(result.range.end),
            **series.facts(result),
            completeness={
                "received": received,
                "missing": missing,
                "ratio": round(received / (received + missing), 6) if received else None,
            },
        )

    def plot(self, path: _Plot, query: _PlotQuery) -> Response:
        """Plot: confidence over time, its histogram, or its means, for each emotion."""
        draw = {"timeline": self._timeline, "histogram": self._histogram, "mean": self._mean}.get(path.plot)
        if draw is None or path.form not in ("png", "svg"):
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                f"there is no plot {path.plot}.{path.form}: timeline, histogram and mean are there, as png and svg",
            )
        form: plots.Form = "png" if path.form == "png" else "svg"
        device, zone = self._find(path.mac), _zone(query.tz)
        with self._drawing:  # matplotlib does not promise to be safe in threads
            image = plots.render(draw(device, query, zone), form)
        return Response(image, mimetype="image/png" if form == "png" else "image/svg+xml")

    def delete(self, path: _Mac) -> Response:
        """Delete: erase everything of one device, here and in its outbox."""
        return jsonify(self._erase(self._find(path.mac).id))

    def delete_all(self, query: _Confirm) -> Response:
        """Delete: erase everything of all devices."""
        if query.confirm != "all":
            raise ProblemError(
                HTTPStatus.BAD_REQUEST, "this would delete the data of all devices: with ?confirm=all it does"
            )
        receipts: list[dict[str, Any]] = []
        after = ""  # page by page, since a live device comes back with new readings at once
        while found := self._store.devices(after, 1000):
            receipts.extend(self._erase(device.id) for device in found)
            after = found[-1].id
        return jsonify(receipts=receipts)

    def meta(self) -> Response:
        """Meta: full names and colours of the emotions, and what everybody must be told."""
        emotions = {label: {"name": shown.name, "colour": shown.colour} for label, shown in EMOTIONS.items()}
        return jsonify(emotions=emotions, notice=NOTICE)

    def _find(self, mac: str) -> Device:
        try:
            device_id = topics.device_id(mac)
        except ValueError as error:
            raise ProblemError(HTTPStatus.BAD_REQUEST, str(error)) from error
        device = self._store.device(device_id)
        if device is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                f"there is no device {topics.mac_address(device_id)}: GET /api/v1/devices lists those that are there",
            )
        return device

    def _now(self, device: Device) -> int:
        """Return a time that no reading of a device comes after; a device's clock may be ahead of ours."""
        now = self._store.now()
        return max(now, device.latest.at + 1) if device.latest else now

    def _last_hour(self, device: Device) -> Range:
        now = self._now(device)
        return Range(now - _DEFAULT_RANGE_MS, now)

    def _raw_is_kept(self, asked: Range) -> bool:
        return asked.start >= self._store.now() - self._retention_ms

    def _boots(self, device: str, inside: Range) -> list[Any]:
        boots = self._store.boots(device)
        return [boot for boot in boots if boot.first_at < inside.end and boot.last_at >= inside.start]

    def _summary(self, device: Device, query: _Span) -> series.Summary:
        now = self._now(device)
        first_day = self._store.first_day(device.id)
        kept = Range(now - _DEFAULT_RANGE_MS if first_day is None else first_day, now)
        asked = ranges.parse_range(query.start, query.end, kept)
        return series.summary(self._store, device.id, asked, raw_is_kept=self._raw_is_kept(asked))

    def _timeline(self, device: Device, query: _PlotQuery, zone: tzinfo) -> Figure:
        asked = ranges.parse_range(query.start, query.end, self._last_hour(device))
        step_ms = ranges.parse_step(query.step, asked, raw_is_kept=self._raw_is_kept(asked), picked_points=plots.POINTS)
        grid = series.grid(self._store, device.id, asked, step_ms)
        return plots.timeline(_called(device), grid, asked, zone)

    def _histogram(self, device: Device, query: _PlotQuery, zone: tzinfo) -> Figure:
        return plots.histogram(_called(device), self._summary(device, query), zone)

    def _mean(self, device: Device, query: _PlotQuery, zone: tzinfo) -> Figure:
        return plots.mean(_called(device), self._summary(device, query), zone)

    def _erase(self, device: str) -> dict[str, Any]:
        receipt: Receipt = self._store.erase(device)
        audit.info(
            "erased %s: %d records, generation %d, asked from %s",
            topics.mac_address(device),
            receipt.records,
            receipt.generation,
            request.remote_addr,
        )
        return {
            "receipt": receipt.job,
            "mac_address": topics.mac_address(device),
            "generation": receipt.generation,
            "records_erased": receipt.records,
            "erased_at": rfc3339(receipt.erased_at),
        }


def make_api(prefix: str, store: Store, settings: ServerSettings, guard: Guard) -> APIBlueprint:
    """Return the routes; reading takes a viewer's token, deleting an operator's."""
    blueprint = APIBlueprint(
        "api", __name__, url_prefix=prefix, abp_security=[{"token": []}], abp_responses=problems.OPENAPI_RESPONSES
    )
    api = Api(store, settings)

    @blueprint.before_request
    def check() -> None:
        role: Role = "viewer" if request.method in ("GET", "HEAD") else "operator"
        guard.check(request.headers.get("Authorization"), role)

    routes: list[tuple[Callable[..., Any], str, Callable[..., Response]]] = [
        (blueprint.get, "/devices", api.devices),
        (blueprint.delete, "/devices", api.delete_all),
        (blueprint.get, "/devices/<mac>", api.single_device),
        (blueprint.delete, "/devices/<mac>", api.delete),
        (blueprint.get, "/devices/<mac>/summary", api.summary),
        (blueprint.get, "/devices/<mac>/plots/<plot>.<form>", api.plot),
        (blueprint.get, "/meta", api.meta),
    ]
    for method, rule, work in routes:
        method(rule)(_function(work))
    return blueprint


def _function(work: Callable[..., Response]) -> Callable[..., Response]:
    """Return a method as the function that the framework wants to put attributes on."""

    @functools.wraps(work)
    def view(**parameters: Any) -> Response:
        return work(**parameters)

    return view


def _device(device: Device) -> dict[str, Any]:
    """Return a device as Devices and SingleDevice say it."""
    return {
        "mac_address": topics.mac_address(device.id),
        "name": device.name,
        "state": device.state,
        "labels": list(device.labels),
        "model": device.model,
        "version": device.version,
        "first_seen": rfc3339(device.first_seen),
        "last_seen": None if device.last_seen is None else rfc3339(device.last_seen),
        "readings": device.readings,
        "latest": device.latest and device.latest._asdict(),
    }


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
