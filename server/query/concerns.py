"""Concerns: what a device says is wrong with itself, by its latest health, as kinds that a page puts into words."""

from typing import Any, Literal, NamedTuple

from server.store.types import Device

ConcernKind = Literal[
    "capture_zeros",
    "capture_flat",
    "capture_stalled",
    "capture_missing",
    "outbox_full",
    "refused",
    "dropped",
    "backlog",
    "clock",
    "hot",
    "disk_low",
    "taken_over",
    "baseline",
]
NOTES = frozenset(["baseline", "clock"])
"""Kinds that are no fault."""
_CAPTURE = frozenset(["zeros", "flat", "stalled", "missing"])
_BACKLOG_ROWS = 300
"""Records that wait; five minutes of speech."""
_HOT_C = 80.0
"""Where a Raspberry Pi begins to slow down (raspberrypi.com/documentation, frequency management)."""
_DISK_LOW_BYTES = 100_000_000


class Concern(NamedTuple):
    """One thing that is wrong, or that a viewer should know."""

    kind: ConcernKind
    is_fault: bool
    amount: int | None = None
    """Records, degrees or percent, where the kind has a number."""


def concerns(device: Device) -> list[Concern]:
    """Return what is wrong with a device, the worst first; nothing while it is offline, since its health is old."""
    health = device.health
    if not health or device.state not in {"online", "paused"}:
        return []
    found: list[tuple[ConcernKind, bool, int | None]] = []
    capture = health.get("capture")
    if capture in _CAPTURE:
        found.append((f"capture_{capture}", True, None))  # type: ignore[arg-type] # one of the kinds
    counts = {name: _count(health, name) for name in ("refused_rows", "dropped", "outbox_rows", "disk_free_bytes")}
    temperature, baseline = health.get("temperature_c"), health.get("baseline")
    found += [
        ("outbox_full", health.get("outbox") == "full", counts["outbox_rows"]),
        ("refused", counts["refused_rows"] > 0, counts["refused_rows"]),
        ("dropped", counts["dropped"] > 0, counts["dropped"]),
        ("backlog", counts["outbox_rows"] >= _BACKLOG_ROWS, counts["outbox_rows"]),
        ("disk_low", 0 < counts["disk_free_bytes"] < _DISK_LOW_BYTES, counts["disk_free_bytes"] // 1_000_000),
        ("hot", isinstance(temperature, float | int) and temperature >= _HOT_C, round(temperature or 0)),
        ("clock", health.get("clock_synced") is False, None),
    ]
    if isinstance(baseline, dict):
        heard, wanted = _count(baseline, "heard"), _count(baseline, "wanted")
        found.append(("taken_over", bool(baseline.get("taken_over")), None))
        found.append(("baseline", heard < wanted, 100 * heard // max(1, wanted)))
    return [Concern(kind, kind not in NOTES, amount) for kind, applies, amount in found if applies]


def _count(facts: dict[str, Any], name: str) -> int:
    """Return a number of a device's health, 0 where it has none; versions differ."""
    value = facts.get(name)
    return int(value) if isinstance(value, float | int) else 0
