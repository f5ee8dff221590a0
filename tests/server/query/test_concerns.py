"""What a device says is wrong with it is told in kinds, the worst first."""

from typing import Any

import pytest
from clients import Client
from records import DEVICE, health, status

from broker.messages import BaselineHealth
from server.query.concerns import concerns

Told = list[tuple[str, bool, int | None]]


def told(client: Client, state: str = "online", **changes: Any) -> Told:
    """Return kind, whether it is a fault, and number of each concern after such a health."""
    client.store.write([(DEVICE, status(state=state)), (DEVICE, health(**changes))])
    device = client.store.device(DEVICE)
    assert device is not None
    return [(concern.kind, concern.is_fault, concern.amount) for concern in concerns(device)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"capture": "zeros"}, [("capture_zeros", True, None)]),
        ({"capture": "paused"}, []),
        ({"outbox": "full", "outbox_rows": 12}, [("outbox_full", True, 12)]),
        ({"refused_rows": 3, "dropped": 2}, [("refused", True, 3), ("dropped", True, 2)]),
        ({"outbox_rows": 299}, []),
        ({"outbox_rows": 300, "clock_synced": False}, [("backlog", True, 300), ("clock", False, None)]),
        ({"temperature_c": 81.6}, [("hot", True, 82)]),
        ({"disk_free_bytes": 5_000_000}, [("disk_low", True, 5)]),
    ],
)
def test_each_fault_has_its_kind(
    client: Client, changes: dict[str, Any], expected: list[tuple[str, bool, int | None]]
) -> None:
    """A healthy device has none."""
    assert told(client, **changes) == expected


def test_devices_tell_them(client: Client) -> None:
    """REST lists them with each device."""
    told(client, outbox="full", outbox_rows=12)
    (device,) = client.get("/api/v1/devices")["devices"]
    assert device["concerns"] == [{"kind": "outbox_full", "is_fault": True, "amount": 12}]


def test_devices_tell_how_far_they_have_learned_what_is_usual(client: Client) -> None:
    """REST has it as the device said it last; a device that has none, or is an older version, says null."""
    learned = {"strength": 0.91, "heard": 200, "wanted": 200}
    for baseline, expected in (
        (BaselineHealth(**learned, learned_at=1_796_000_000_000), learned | {"learned_at": "2026-11-30T00:53:20.000Z"}),
        (BaselineHealth(**learned), learned | {"learned_at": None}),
        (None, None),
    ):
        told(client, baseline=baseline)
        (device,) = client.get("/api/v1/devices")["devices"]
        assert device["baseline"] == expected


def test_what_an_offline_device_said_last_is_no_concern(client: Client) -> None:
    """Nobody knows whether it still holds."""
    assert told(client, state="offline", capture="zeros") == []


def test_learning_is_a_note(client: Client) -> None:
    """A device without its baseline yet is no case for attention; one that has learned says nothing."""
    client.store.write([(DEVICE, status())])
    device = client.store.device(DEVICE)
    assert device is not None
    for heard, expected in ((30, [("baseline", False, 50)]), (60, [])):
        object.__setattr__(device, "health", {"baseline": {"strength": 0.1, "heard": heard, "wanted": 60}})
        assert [(each.kind, each.is_fault, each.amount) for each in concerns(device)] == expected
