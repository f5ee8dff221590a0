"""Events of all devices together, the newest first, page by page."""

from typing import NamedTuple

from server.query.time_range import Range
from server.store import keys, reader
from server.store.redis_store import RedisStore
from server.store.types import Device, DeviceEvent

_FEW = 8
"""Events that are read of each device at first; most devices have none of those on a page."""


class FleetEvent(NamedTuple):
    """What happened to a device."""

    device: Device
    event: DeviceEvent | None
    """None: it was erased."""
    before: DeviceEvent | None
    """Its event before this one, if any."""
    at: int
    """Unix ms."""
    id: str
    """Orders the events of a device."""

    @property
    def order(self) -> tuple[int, int, str]:
        """What events of all devices are sorted by."""
        ms, number = self.id.split("-")
        return int(ms), int(number), self.device.id

    @property
    def token(self) -> str:
        """What the next page begins after."""
        return f"{self.id}.{self.device.id}"


def newest(
    store: RedisStore, devices: list[Device], inside: Range, token: str, size: int
) -> tuple[list[FleetEvent], str]:
    """Return a page of at most `size` events in a range, the newest first, and the token of the next page.

    Args:
        store: Keeps the events.
        devices: Whose events.
        inside: Range of the events.
        token: `token` of the last event of the page before; empty for the first page.
        size: At least 1.
    """
    found: dict[str, list[FleetEvent]] = _read(store, devices, inside, token, min(_FEW, size + 1))
    page = _sorted(found)
    oldest = page[size].order if len(page) > size else (0, 0, "")
    # Only a device all of whose events are on the page may have more of them.
    more = [each for each in devices if len(found[each.id]) > _FEW - 1 and found[each.id][-1].order > oldest]
    if more and size >= _FEW:
        found |= _read(store, more, inside, token, size + 1)
        page = _sorted(found)
    return page[:size], page[size - 1].token if len(page) > size else ""


def _sorted(found: dict[str, list[FleetEvent]]) -> list[FleetEvent]:
    return sorted((event for events in found.values() for event in events), key=lambda event: event.order, reverse=True)


def _read(
    store: RedisStore, devices: list[Device], inside: Range, token: str, count: int
) -> dict[str, list[FleetEvent]]:
    """Return up to so many events of each device, the newest first."""
    last_id, _, last_device = token.partition(".")
    uppers = []
    for device in devices:
        passed = f"({last_id}" if device.id >= last_device else last_id
        uppers.append(passed if token and int(last_id.split("-")[0]) < inside.end else str(inside.end - 1))
    replies = store.execute_all(
        [
            ("XREVRANGE", keys.events(device.id), upper, "-", "COUNT", count + 1)
            for device, upper in zip(devices, uppers, strict=True)
        ]
    )
    found = {}
    for device, entries in zip(devices, replies, strict=True):
        events = [reader.event(*entry) for entry in entries]
        earlier = [*events[1:], None]
        told = [
            FleetEvent(device, event, before, event.at, event.id)
            for event, before in zip(events[:count], earlier, strict=False)
            if event.at >= inside.start
        ]
        erased = device.erased_at
        if erased is not None and inside.start <= erased < inside.end and len(events) <= count:
            erasure = FleetEvent(device, None, None, erased, f"{erased}-0")
            if not token or erasure.order < _order(token):
                told.append(erasure)
        found[device.id] = told
    return found


def _order(token: str) -> tuple[int, int, str]:
    name, _, device = token.partition(".")
    ms, number = name.split("-")
    return int(ms), int(number), device
