"""The routes under `/api/v1`: devices, one device, its summary and events, deletion, commands, and emotions' names."""

import functools
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Response, g, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from broker import topics
from common.notice import NOTICE
from server.errors import ProblemError
from server.query import series, time_range
from server.query.devices import DeviceLookup
from server.query.series import Grid
from server.query.time_range import Range, rfc3339
from server.rest import csv_format, event_pages, http_headers, openapi, params, responses
from server.rest.command_routes import Operating
from server.rest.palette import EMOTIONS
from server.rest.plot_routes import Pictures
from server.settings import ServerSettings
from server.store.tokens import Role
from server.store.types import Device, Store
from server.web.auth import Guard

audit = logging.getLogger("moodwire.audit")

_META_S = 3600
"""How long a client may keep names and colours; they change with the server's version."""


class Api:
    """The routes' work, over a store."""

    def __init__(self, lookup: DeviceLookup) -> None:
        self._lookup = lookup
        self._store = lookup.store

    def devices(self, query: params.DevicesParams) -> Response:
        """Devices: all monitored devices, page by page."""
        found = self._store.devices(query.page_token, query.page_size + 1)
        shown = found[: query.page_size]
        token = shown[-1].id if len(found) > query.page_size else ""
        devices = [responses.Device(**_device(device)) for device in shown]
        return _paged(_answer(responses.Devices(devices=devices, next_page_token=token)), token)

    def single_device(self, path: params.DevicePath, query: params.SeriesParams) -> Response:
        """SingleDevice: a device and its emotions over time, on a grid of steps."""
        device = self._lookup.find(path.mac)
        range_ = time_range.parse_range(query.start, query.end, self._lookup.last_hour(device))
        step_ms = time_range.parse_step(query.step, range_, raw_is_kept=self._lookup.raw_is_kept(range_))
        grid = series.grid(self._store, device.id, range_, step_ms)
        csv = csv_format.wants_csv(request, query.format)
        response = _series_table(device, grid) if csv else _answer(self._single(device, grid))
        response.vary.add("Accept")
        return self._kept(response, grid.range)

    def summary(self, path: params.DevicePath, query: params.RangeParams) -> Response:
        """Summary: means, shares and histograms over a range; over everything kept if none is asked for."""
        device = self._lookup.find(path.mac)
        range_ = time_range.parse_range(query.start, query.end, self._lookup.everything(device))
        result = self._lookup.summary(device, range_)
        boots = self._boots(device.id, result.range)
        received, missing = sum(boot.records for boot in boots), sum(boot.missing for boot in boots)
        body = responses.Summary(
            mac_address=topics.mac_address(device.id),
            start=rfc3339(result.range.start),
            end=rfc3339(result.range.end),
            **series.facts(result),
            completeness=responses.Completeness(
                received=received,
                missing=missing,
                ratio=round(received / (received + missing), 6) if received else None,
            ),
        )
        return self._kept(_answer(body), result.range)

    def events(self, path: params.DevicePath, query: params.EventsParams) -> Response:
        """Events: when a device came, went, was paused, changed its model or was erased; page by page."""
        device = self._lookup.find(path.mac)
        range_ = time_range.parse_range(query.start, query.end, Range(0, self._lookup.now(device) + 1))
        events, token = event_pages.page(self._store, device, range_, query.page_token, query.page_size)
        if csv_format.wants_csv(request, query.format):
            rows = [(event.at, event.kind, event.model, event.previous_model) for event in events]
            response = csv_format.table(f"{device.id}-events", list(responses.Event.model_fields), rows)
        else:
            body = responses.Events(
                mac_address=topics.mac_address(device.id),
                start=rfc3339(range_.start),
                end=rfc3339(range_.end),
                events=events,
                next_page_token=token,
            )
            response = _answer(body)
        response.vary.add("Accept")
        return self._kept(_paged(response, token), range_)

    def delete(self, path: params.DevicePath) -> Response:
        """Delete: erase everything of one device, here and in its outbox."""
        return _answer(self._erase(self._lookup.find(path.mac).id))

    def delete_all(self, query: params.ConfirmParams) -> Response:
        """Delete: erase everything of all devices."""
        if query.confirm != "all":
            raise ProblemError(
                HTTPStatus.BAD_REQUEST, "this would delete the data of all devices: with ?confirm=all it does"
            )
        receipts: list[responses.Receipt] = []
        after = ""  # page by page, since a live device comes back with new readings at once
        while found := self._store.devices(after, 1000):
            receipts.extend(self._erase(device.id) for device in found)
            after = found[-1].id
        return _answer(responses.Receipts(receipts=receipts))

    def meta(self) -> Response:
        """Meta: full names and colours of the emotions, and what everybody must be told."""
        emotions = {
            label: responses.EmotionName(name=shown.name, colour=shown.colour) for label, shown in EMOTIONS.items()
        }
        return http_headers.lasting(_answer(responses.Meta(emotions=emotions, notice=NOTICE)), _META_S)

    def _single(self, device: Device, grid: Grid) -> responses.SingleDevice:
        boots = self._boots(device.id, grid.range)
        spans = self._lookup.spans(device, grid)
        return responses.SingleDevice(
            **_device(device),
            health=device.health,
            boots=[
                responses.Boot(
                    boot=boot.boot,
                    first_at=rfc3339(boot.first_at),
                    last_at=rfc3339(boot.last_at),
                    records=boot.records,
                    missing=boot.missing,
                )
                for boot in boots
            ],
            duplicate_identity=series.overlapping(boots),
            start=rfc3339(grid.range.start),
            end=rfc3339(grid.range.end),
            step_s=grid.step_ms // 1000,
            timestamps=grid.timestamps.tolist(),
            **_columns(device, grid),
            readings_per_step=grid.readings.tolist(),
            uncertain_per_step=grid.uncertain.tolist(),
            spans=[responses.Span(kind=span.kind, start=rfc3339(span.start), end=rfc3339(span.end)) for span in spans],
        )

    def _kept(self, response: Response, inside: Range) -> Response:
        """Let a client keep an answer about the past."""
        return http_headers.revalidated(response) if self._lookup.is_past(inside) else response

    def _boots(self, device: str, inside: Range) -> list[Any]:
        boots = self._store.boots(device)
        return [boot for boot in boots if boot.first_at < inside.end and boot.last_at >= inside.start]

    def _erase(self, device: str) -> responses.Receipt:
        receipt = self._store.erase(device)
        audit.info(
            "erased %s: %d records, generation %d, receipt %s, asked by token %s from %s",
            topics.mac_address(device),
            receipt.records,
            receipt.generation,
            receipt.job,
            g.token.name,
            request.remote_addr,
        )
        return responses.Receipt(
            receipt=receipt.job,
            mac_address=topics.mac_address(device),
            generation=receipt.generation,
            records_erased=receipt.records,
            erased_at=rfc3339(receipt.erased_at),
        )


def make_api(prefix: str, store: Store, settings: ServerSettings, guard: Guard) -> APIBlueprint:
    """Return the routes; reading takes a viewer's token, deleting and commands an operator's."""
    blueprint = APIBlueprint(
        "api", __name__, url_prefix=prefix, abp_security=[{"token": []}], abp_responses=openapi.problems()
    )
    lookup = DeviceLookup(store, settings)
    api, pictures, operating = Api(lookup), Pictures(lookup), Operating(lookup)

    @blueprint.before_request
    def check() -> None:
        g.token = guard.check(request.headers.get("Authorization"), _role(request.method))

    routes: list[tuple[str, str, Callable[..., Response], dict[str, Any]]] = [
        ("GET", "/devices", api.devices, openapi.answer(responses.Devices)),
        ("DELETE", "/devices", api.delete_all, openapi.answer(responses.Receipts)),
        ("GET", "/devices/<mac>", api.single_device, openapi.answer(responses.SingleDevice, csv=True)),
        ("DELETE", "/devices/<mac>", api.delete, openapi.answer(responses.Receipt)),
        ("GET", "/devices/<mac>/summary", api.summary, openapi.answer(responses.Summary)),
        ("GET", "/devices/<mac>/events", api.events, openapi.answer(responses.Events, csv=True)),
        ("GET", "/devices/<mac>/plots/<plot>.<form>", pictures.plot, openapi.IMAGES),
        ("POST", "/devices/<mac>/commands", operating.ask, openapi.answer(responses.Command)),
        ("GET", "/devices/<mac>/commands/<transaction>", operating.tell, openapi.answer(responses.Command)),
        ("GET", "/meta", api.meta, openapi.answer(responses.Meta)),
    ]
    adders = {"GET": blueprint.get, "DELETE": blueprint.delete, "POST": blueprint.post}
    for method, rule, work, answer in routes:
        extensions = {"x-required-role": _role(method)}
        tag = Tag(name=_group(rule, method))
        answers: dict[str | int | HTTPStatus, Any] = {"202" if method == "POST" else "200": answer}
        adders[method](rule, responses=answers, openapi_extensions=extensions, tags=[tag])(_function(work))
    return blueprint


def _role(method: str) -> Role:
    """Return who may use a method: viewers may read."""
    return "viewer" if method in ("GET", "HEAD") else "operator"


def _group(rule: str, method: str) -> str:
    """Return the heading under which the page of the API shows a route."""
    if method == "DELETE":
        return "Delete"
    if rule.startswith("/devices/<mac>"):
        return "Commands" if "/commands" in rule else "SingleDevice"
    return "Devices"


def _function(work: Callable[..., Response]) -> Callable[..., Response]:
    """Return a method as the function that the framework wants to put attributes on."""

    @functools.wraps(work)
    def view(**parameters: Any) -> Response:
        return work(**parameters)

    return view


def _answer(body: BaseModel) -> Response:
    return Response(body.model_dump_json(), mimetype="application/json")


def _paged(response: Response, token: str) -> Response:
    """Add the link to the next page, if there is one (RFC 8288)."""
    if token:
        query = urlencode({**request.args, "page_token": token})
        response.headers["Link"] = f'<{request.path}?{query}>; rel="next"'
    return response


def _columns(device: Device, grid: Grid) -> dict[str, Any]:
    """Return the mean scores of each label in each step, as columns of their own."""
    columns = {}
    for label in grid.means or device.labels:
        means = grid.means[label].tolist() if grid.means else []
        # A nan is a step without a reading, and not equal to itself.
        columns[f"timeseries_{label}"] = [round(mean, 4) if mean == mean else None for mean in means]  # noqa: PLR0124
    return columns


def _series_table(device: Device, grid: Grid) -> Response:
    """Return a series as a table of steps."""
    columns = _columns(device, grid)
    times = [rfc3339(at) for at in grid.timestamps.tolist()]
    rows = zip(times, *columns.values(), grid.readings.tolist(), grid.uncertain.tolist(), strict=True)
    return csv_format.table(device.id, ["time", *columns, "readings_per_step", "uncertain_per_step"], rows)


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
        "latest": device.latest and responses.Latest(**device.latest._asdict()),
    }
