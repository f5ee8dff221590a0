"""A device of the store as REST shows it: in the list, with its series, and as a table."""

from collections.abc import Iterable
from typing import Any

import msgspec

from broker import topics
from broker.messages import BaselineHealth
from common import text
from server.query.boots import MOST_LISTED, overlap
from server.query.concerns import concerns
from server.query.series import Grid
from server.query.spans import Span
from server.query.time_range import rfc3339
from server.rest import responses
from server.store.types import Boot, Device


def device(device: Device) -> responses.Device:
    """Return a device as Devices lists it."""
    return responses.Device(**_facts(device))


def single_device(device: Device, grid: Grid, boots: list[Boot], spans: list[Span]) -> responses.SingleDevice:
    """Return a device with its series."""
    return responses.SingleDevice(
        **_facts(device),
        health=device.health,
        boots=[
            responses.Boot(
                boot=boot.boot,
                first_at=rfc3339(boot.first_at),
                last_at=rfc3339(boot.last_at),
                records=boot.records,
                missing=boot.missing,
            )
            for boot in boots[-MOST_LISTED:]
        ],
        older_boots=max(len(boots) - MOST_LISTED, 0),
        duplicate_identity=overlap(boots),
        start=rfc3339(grid.range.start),
        end=rfc3339(grid.range.end),
        step_s=grid.step_ms // 1000,
        timestamps=grid.timestamps.tolist(),
        **_columns(device, grid),
        readings_per_step=grid.readings.tolist(),
        uncertain_per_step=grid.uncertain.tolist(),
        spans=[responses.Span(kind=span.kind, start=rfc3339(span.start), end=rfc3339(span.end)) for span in spans],
    )


def series_table(device: Device, grid: Grid) -> tuple[list[str], Iterable[tuple[object, ...]]]:
    """Return the header of a series and a row for each step."""
    columns = _columns(device, grid)
    times = [rfc3339(at) for at in grid.timestamps.tolist()]
    rows = zip(times, *columns.values(), grid.readings.tolist(), grid.uncertain.tolist(), strict=True)
    return ["time", *columns, "readings_per_step", "uncertain_per_step"], rows


def shown_name(device: Device) -> str:
    """Return a device's name without what cannot be shown, which earlier versions let in."""
    return text.clean(device.name)


def _facts(device: Device) -> dict[str, Any]:
    """Return the fields that Devices and SingleDevice have in common."""
    return {
        "mac_address": topics.mac_address(device.id),
        "name": shown_name(device),
        "state": device.state,
        "labels": list(device.labels),
        "model": device.model,
        "version": device.version,
        "first_seen": rfc3339(device.first_seen),
        "last_seen": None if device.last_seen is None else rfc3339(device.last_seen),
        "readings": device.readings,
        "latest": device.latest and responses.Latest(**device.latest._asdict()),
        "baseline": _baseline(device),
        "concerns": [responses.Concern(**concern._asdict()) for concern in concerns(device)],
    }


def _baseline(device: Device) -> responses.Baseline | None:
    """Return how far a device has learned what is usual, by its latest health."""
    told = (device.health or {}).get("baseline")
    try:
        found = msgspec.convert(told, BaselineHealth)
    except msgspec.ValidationError:  # null, absent in older versions, or of a newer one
        return None
    learned_at = None if found.learned_at is None else rfc3339(found.learned_at)
    return responses.Baseline(strength=found.strength, heard=found.heard, wanted=found.wanted, learned_at=learned_at)


def _columns(device: Device, grid: Grid) -> dict[str, Any]:
    """Return the mean scores of each label in each step, as columns of their own."""
    columns = {}
    for label in grid.means or device.labels:
        means = grid.means[label].tolist() if grid.means else []
        # NaN marks a step without a reading, and differs from itself.
        columns[f"timeseries_{label}"] = [round(mean, 4) if mean == mean else None for mean in means]  # noqa: PLR0124
    return columns
