"""Strips: how much each of many devices heard lately and what, on one grid for all, with when they were off."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from server.query.devices import DeviceLookup
from server.query.series import Grid, sum_up
from server.query.spans import Span, explain
from server.query.time_range import Range
from server.store import recent
from server.store.redis_store import RedisStore
from server.store.types import Device, Floats, Ints

OffKind = Literal["paused", "offline", "missing"]
_OFF = frozenset(get_args(OffKind))
_DEVICES_PER_TRIP = 100
"""Bounds what is in memory at once."""


@dataclass(frozen=True)
class Strip:
    """One device on the grid; all columns of shape (steps,)."""

    device: Device
    readings: Ints
    uncertain: Ints
    means: dict[str, Floats]
    """Mean score of each label, nan where a step holds no reading."""
    off: list[Span]
    """When nothing was listened to, or nothing has arrived."""


def strips(
    store: RedisStore, lookup: DeviceLookup, devices: list[Device], inside: Range, step_ms: int
) -> Iterator[Strip]:
    """Yield the strip of each device.

    Args:
        store: Keeps the records.
        lookup: Of the request.
        devices: Whose.
        inside: Whole steps.
        step_ms: Whole minutes.
    """
    for first in range(0, len(devices), _DEVICES_PER_TRIP):
        some = devices[first : first + _DEVICES_PER_TRIP]
        for device, found in zip(some, recent.read(store, [one.id for one in some], *inside), strict=True):
            grid = sum_up(found.rollups, inside, step_ms)
            spans = explain(found.heard, found.events, inside, lookup.now, grid.evidence(lookup.kept_since))
            yield _strip(device, grid, [span for span in spans if span.kind in _OFF])


def _strip(device: Device, grid: Grid, off: list[Span]) -> Strip:
    """Return a grid from its first to its last reading as one over the whole range."""
    steps = (grid.range.end - grid.range.start) // grid.step_ms
    readings, uncertain = np.zeros(steps, np.int64), np.zeros(steps, np.int64)
    means = {label: np.full(steps, np.nan) for label in grid.means}
    if grid.timestamps.size:
        first = (int(grid.timestamps[0]) - grid.range.start) // grid.step_ms
        place = slice(first, first + grid.timestamps.size)
        readings[place], uncertain[place] = grid.readings, grid.uncertain
        for label, column in grid.means.items():
            means[label][place] = column
    return Strip(device, readings, uncertain, means, off)
