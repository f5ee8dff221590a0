"""The routes about devices: the list, one over time, its summary and events, deletion; and how emotions are shown."""

import logging
from http import HTTPStatus
from urllib.parse import urlencode

from flask import Response, g, request

from broker import topics
from common.notice import NOTICE
from server.errors import ProblemError
from server.query import series, time_range
from server.query.time_range import Range, rfc3339
from server.rest import csv_format, device_bodies, event_pages, http_headers, openapi, palette, params, responses
from server.rest.blueprint import lookup, make_blueprint, services
from server.rest.responses import respond
from server.store.types import Boot

blueprint = make_blueprint("devices")

audit = logging.getLogger("moodwire.audit")

_DEVICES_PER_READ = 1000
_META_S = 3600
"""How long a client may keep names and colours, which change with the server's version."""


@blueprint.get("/devices", tags=openapi.DEVICES, responses={200: responses.Devices}, openapi_extensions=openapi.VIEWER)
def devices(query: params.DevicesParams) -> Response:
    """Devices: all monitored devices, page by page."""
    found = services().store.devices(query.page_token, query.page_size + 1)
    page = found[: query.page_size]
    token = page[-1].id if len(found) > query.page_size else ""
    body = responses.Devices(
        devices=[device_bodies.device(device) for device in page],
        next_page_token=token,
    )
    return _link_next(respond(body), token)


@blueprint.delete(
    "/devices", tags=openapi.DELETE, responses={200: responses.Receipts}, openapi_extensions=openapi.OPERATOR
)
def delete_all(query: params.ConfirmParams) -> Response:
    """Delete: erase all data of all devices."""
    if query.confirm != "all":
        raise ProblemError(HTTPStatus.BAD_REQUEST, "this erases the data of all devices: confirm it with ?confirm=all")
    receipts: list[responses.Receipt] = []
    after = ""  # page by page, since a live device comes back with new readings at once
    while found := services().store.devices(after, _DEVICES_PER_READ):
        receipts.extend(_erase(device.id) for device in found)
        after = found[-1].id
    return respond(responses.Receipts(receipts=receipts))


@blueprint.get(
    "/devices/<mac>",
    tags=openapi.SINGLE_DEVICE,
    responses={200: responses.SingleDevice},
    openapi_extensions=openapi.VIEWER,
)
def single_device(path: params.DevicePath, query: params.SeriesParams) -> Response:
    """SingleDevice: a device and its emotions over time, on a grid of steps."""
    device = lookup().find(path.mac)
    range_ = time_range.parse_range(query.start, query.end, lookup().last_hour(device))
    step_ms = time_range.parse_step(query.step, range_, raw_is_kept=lookup().raw_is_kept(range_))
    grid = series.grid(services().store, device.id, range_, step_ms)
    if csv_format.wants_csv(request, query.format):
        response = csv_format.respond_csv(device.id, *device_bodies.series_table(device, grid))
    else:
        spans = lookup().spans(device, grid)
        response = respond(device_bodies.single_device(device, grid, _boots(device.id, grid.range), spans))
    response.vary.add("Accept")
    return _cacheable(response, grid.range)


@blueprint.get(
    "/devices/<mac>/summary",
    tags=openapi.SINGLE_DEVICE,
    responses={200: responses.Summary},
    openapi_extensions=openapi.VIEWER,
)
def summary(path: params.DevicePath, query: params.RangeParams) -> Response:
    """Summary: means, shares and histograms over a range; default: everything that is kept."""
    device = lookup().find(path.mac)
    range_ = time_range.parse_range(query.start, query.end, lookup().everything(device))
    result = lookup().summary(device, range_)
    boots = _boots(device.id, result.range)
    received, missing = sum(boot.records for boot in boots), sum(boot.missing for boot in boots)
    body = responses.Summary(
        mac_address=topics.mac_address(device.id),
        start=rfc3339(result.range.start),
        end=rfc3339(result.range.end),
        **result.to_dict(),
        completeness=responses.Completeness(
            received=received,
            missing=missing,
            ratio=round(received / (received + missing), 6) if received else None,
        ),
    )
    return _cacheable(respond(body), result.range)


@blueprint.get(
    "/devices/<mac>/events",
    tags=openapi.SINGLE_DEVICE,
    responses={200: responses.Events},
    openapi_extensions=openapi.VIEWER,
)
def events(path: params.DevicePath, query: params.EventsParams) -> Response:
    """Events: when a device went online or offline, was paused, changed its model or was erased; page by page."""
    device = lookup().find(path.mac)
    range_ = time_range.parse_range(query.start, query.end, Range(0, lookup().end_of_records(device) + 1))
    page, token = event_pages.read(services().store, device, range_, query.page_token, query.page_size)
    if csv_format.wants_csv(request, query.format):
        rows = [(event.at, event.kind, event.model, event.previous_model) for event in page]
        response = csv_format.respond_csv(f"{device.id}-events", list(responses.Event.model_fields), rows)
    else:
        body = responses.Events(
            mac_address=topics.mac_address(device.id),
            start=rfc3339(range_.start),
            end=rfc3339(range_.end),
            events=page,
            next_page_token=token,
        )
        response = respond(body)
    response.vary.add("Accept")
    return _cacheable(_link_next(response, token), range_)


@blueprint.delete(
    "/devices/<mac>", tags=openapi.DELETE, responses={200: responses.Receipt}, openapi_extensions=openapi.OPERATOR
)
def delete(path: params.DevicePath) -> Response:
    """Delete: erase all data of one device, here and in its outbox."""
    return respond(_erase(lookup().find(path.mac).id))


@blueprint.get("/meta", tags=openapi.DEVICES, responses={200: responses.Meta}, openapi_extensions=openapi.VIEWER)
def meta() -> Response:
    """Meta: names and colours of emotions and spans, and what every user must be told."""
    body = responses.Meta(
        emotions={
            label: responses.EmotionName(name=shown.name, colour=shown.colour.light, colour_dark=shown.colour.dark)
            for label, shown in palette.EMOTIONS.items()
        },
        other_colours=[
            responses.OtherColour(colour=colour.light, colour_dark=colour.dark) for colour in palette.OTHER_COLOURS
        ],
        spans={
            kind: responses.SpanName(name=style.name, colour=style.colour.light, colour_dark=style.colour.dark)
            for kind, style in palette.SPANS.items()
        },
        steps_s=list(time_range.STEPS_S),
        most_points=time_range.MOST_POINTS,
        notice=NOTICE,
    )
    return http_headers.cache_for(respond(body), _META_S)


def _cacheable(response: Response, inside: Range) -> Response:
    """Let a client keep a response about the past."""
    return http_headers.revalidate(response) if lookup().is_past(inside) else response


def _link_next(response: Response, token: str) -> Response:
    """Add the link to the next page, if there is one (RFC 8288)."""
    if token:
        query = urlencode({**request.args, "page_token": token})
        response.headers["Link"] = f'<{request.path}?{query}>; rel="next"'
    return response


def _boots(device_id: str, inside: Range) -> list[Boot]:
    """Return the boots that have records in a range."""
    boots = services().store.boots(device_id)
    return [boot for boot in boots if boot.first_at < inside.end and boot.last_at >= inside.start]


def _erase(device_id: str) -> responses.Receipt:
    receipt = services().store.erase(device_id)
    audit.info(
        "erased %s: %d records, generation %d, receipt %s, asked by token %s from %s",
        topics.mac_address(device_id),
        receipt.records,
        receipt.generation,
        receipt.command,
        g.token.name,
        request.remote_addr,
    )
    return responses.Receipt(
        receipt=receipt.command,
        mac_address=topics.mac_address(device_id),
        generation=receipt.generation,
        records_erased=receipt.records,
        erased_at=rfc3339(receipt.erased_at),
    )
