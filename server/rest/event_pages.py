"""What happened to a device, as events: it came, went, was paused, has another model, or was erased."""

from server.query.time_range import Range, rfc3339
from server.rest import responses
from server.store.redis_store import RedisStore
from server.store.types import Device, DeviceEvent

_AFTER_ERASURE = "0-0"
"""Page token behind an erasure: everything that is kept is younger."""


def page(store: RedisStore, device: Device, inside: Range, token: str, size: int) -> tuple[list[responses.Event], str]:
    """Return up to so many events of a range in order of time, and the token of the next page, empty on the last.

    Args:
        store: What keeps them.
        device: Whose they are.
        inside: From when to when.
        token: Of the page before, or empty.
        size: At least 1.
    """
    events: list[responses.Event] = []
    if not token and device.erased_at is not None and inside.start <= device.erased_at < inside.end:
        events.append(responses.Event(at=rfc3339(device.erased_at), kind="erased", model=None, previous_model=None))
    wanted = size - len(events)
    before, changes = store.event_page(device.id, *inside, token, wanted + 1)
    for change in changes[:wanted]:
        events.append(_event(before, change))
        before = change
    if len(changes) <= wanted:
        return events, ""
    return events, changes[wanted - 1].id if wanted else _AFTER_ERASURE


def _event(before: DeviceEvent | None, change: DeviceEvent) -> responses.Event:
    """Return a change as an event, by what differs from the one before it."""
    other_model = before is not None and before.model != change.model
    only_model = before is not None and other_model and before.state == change.state
    return responses.Event.model_validate(
        {
            "at": rfc3339(change.at),
            "kind": "model" if only_model else change.state,
            "model": change.model,
            "previous_model": before.model if before is not None and other_model else None,
        }
    )
