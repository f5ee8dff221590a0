"""The routes about all devices together: their events, the alerts, and the models that they may run."""

from flask import Response

from broker import topics
from server.query import fleet_events, time_range
from server.query.time_range import Range, rfc3339
from server.rest import event_pages, http_headers, model_figures, more_responses, openapi, params
from server.rest.blueprint import lookup, make_blueprint, services
from server.rest.device_bodies import shown_name
from server.rest.responses import respond
from server.store.types import Device

blueprint = make_blueprint("fleet")

_DEVICES_PER_READ = 1000
_MOST_ALERTS = 1000
_FIGURES_S = 3600


@blueprint.get(
    "/events", tags=openapi.DEVICES, responses={200: more_responses.FleetEvents}, openapi_extensions=openapi.VIEWER
)
def events(query: params.AllEventsParams) -> Response:
    """Events: what happened to all devices, the newest first; page by page."""
    range_ = time_range.parse_range(query.start, query.end, Range(0, lookup().now + 1))
    page, token = fleet_events.newest(services().store, _devices(), range_, query.page_token, query.page_size)
    return respond(
        more_responses.FleetEvents(
            start=rfc3339(range_.start),
            end=rfc3339(range_.end),
            events=[
                more_responses.FleetEvent(
                    mac_address=topics.mac_address(told.device.id),
                    name=shown_name(told.device),
                    **event_pages.body(told.at, told.event, told.before).model_dump(),
                )
                for told in page
            ],
            next_page_token=token,
        )
    )


@blueprint.get(
    "/alerts", tags=openapi.DEVICES, responses={200: more_responses.Alerts}, openapi_extensions=openapi.VIEWER
)
def alerts() -> Response:
    """Alerts: the rules that are evaluated, and the alerts that they have raised."""
    book = services().store.alert_states
    rules, states = book.rules(), book.all()
    devices = {device.id: device for device in _devices()} if states else {}
    known = [(devices[device], rule, state) for (device, rule), state in states.items() if device in devices]
    known.sort(key=lambda each: (each[2].raised, each[2].changed_at or each[2].raised_at or 0), reverse=True)
    return respond(
        more_responses.Alerts(
            running=rules is not None,
            rules=[
                more_responses.AlertRule.model_validate({name: getattr(rule, name) for name in rule.__struct_fields__})
                for rule in rules or []
            ],
            alerts=[
                more_responses.Alert(
                    rule=rule,
                    mac_address=topics.mac_address(device.id),
                    name=shown_name(device),
                    raised=state.raised,
                    raised_at=None if state.raised_at is None else rfc3339(state.raised_at),
                    changed_at=None if state.changed_at is None else rfc3339(state.changed_at),
                    mean=None if state.mean is None else round(state.mean, 4),
                )
                for device, rule, state in known[:_MOST_ALERTS]
            ],
        )
    )


@blueprint.get(
    "/models", tags=openapi.DEVICES, responses={200: more_responses.Models}, openapi_extensions=openapi.VIEWER
)
def models() -> Response:
    """Models: what the shipped models learned from, and how often they are right, on whom."""
    return http_headers.cache_for(respond(more_responses.Models(models=model_figures.load())), _FIGURES_S)


def _devices() -> list[Device]:
    found: list[Device] = []
    while page := services().store.devices(found[-1].id if found else "", _DEVICES_PER_READ):
        found.extend(page)
    return found
