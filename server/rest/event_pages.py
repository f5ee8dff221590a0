"""Pages of a device's events: it went online or offline, was paused, changed its model, or was erased."""

from server.query.time_range import Range, rfc3339
from server.rest import responses
from server.store.redis_store import RedisStore
from server.store.types import Device, DeviceEvent

_AFTER_ERASURE = "0-0"
"""Page token after an erasure: every event that is kept is younger."""


def read(store: RedisStore, device: Device, inside: Range, token: str, size: int) -> tuple[list[responses.Event], str]:
    """Return a page of events in order of time, and the token of the next page, empty on the last.

    Args:
        store: Keeps the events.
        device: Whose events.
        inside: Range of the events.
        token: `page_token` of the request; empty for the first page.
        size: Most events on the page, at least 1.
    """
    events: list[responses.Event] = []
    if not token and device.erased_at is not None and inside.start <= device.erased_at < inside.end:
        events.append(body(device.erased_at, None, None))
    wanted = size - len(events)
    before, found = store.event_page(device.id, *inside, token, wanted + 1)
    for event in found[:wanted]:
        events.append(body(event.at, event, before))
        before = event
    if len(found) <= wanted:
        return events, ""
    return events, found[wanted - 1].id if wanted else _AFTER_ERASURE


def body(at: int, event: DeviceEvent | None, before: DeviceEvent | None) -> responses.Event:
    """Return an event as REST shows it, by what differs from the one before; no event is an erasure.

    Args:
        at: When it happened, Unix ms.
        event: As the store has it.
        before: The device's event before this one, if any.
    """
    if event is None:
        return responses.Event(at=rfc3339(at), kind="erased", model=None, previous_model=None)
    other_model = before is not None and before.model != event.model
    only_model = before is not None and other_model and before.state == event.state
    return responses.Event.model_validate(
        {
            "at": rfc3339(at),
            "kind": "model" if only_model else event.state,
            "model": event.model,
            "previous_model": before.model if before is not None and other_model else None,
        }
    )
