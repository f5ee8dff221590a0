"""What a request about a device looks up: the device, its ranges, and what is kept of them."""

import functools
from http import HTTPStatus

from broker import topics
from server.errors import ProblemError
from server.query import time_range
from server.query.series import Grid
from server.query.spans import Span, spans
from server.query.summary import Summary, summarize
from server.query.time_range import Range
from server.settings import ServerSettings
from server.store.keys import DAY_MS
from server.store.redis_store import RedisStore
from server.store.rollups import MINUTE
from server.store.types import Device

_SETTLED_MS = 10_000
"""A range that ended so long ago changes only by records that arrive late."""


class DeviceLookup:
    """Devices and ranges for one request, which asks the store's clock once at most.

    Args:
        store: What is asked.
        settings: Retention of single readings.
    """

    def __init__(self, store: RedisStore, settings: ServerSettings) -> None:
        self._store = store
        self._retention_ms = settings.retention_days * DAY_MS

    @functools.cached_property
    def now(self) -> int:
        """The store's clock when it was first wanted, Unix ms."""
        return self._store.recent_now()

    def find(self, mac: str) -> Device:
        """Return a device by its MAC address.

        Raises:
            ProblemError: 400, it is no address; 404, there is no such device.
        """
        try:
            device_id = topics.device_id(mac)
        except ValueError as error:
            raise ProblemError(HTTPStatus.BAD_REQUEST, str(error)) from error
        device = self._store.device(device_id)
        if device is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                f"there is no device {topics.mac_address(device_id)}: list them with GET /api/v1/devices",
            )
        return device

    def end_of_records(self, device: Device) -> int:
        """Return a time that no reading of a device reaches, Unix ms; its clock may be ahead of the store's."""
        return max(self.now, device.latest.at + 1) if device.latest else self.now

    def last_hour(self, device: Device) -> Range:
        """Return the default range of a series."""
        end = self.end_of_records(device)
        return Range(end - time_range.HOUR_MS, end)

    def everything(self, device: Device) -> Range:
        """Return the range of all records of a device."""
        end = self.end_of_records(device)
        first_day = self._store.first_day(device.id)
        return Range(end - time_range.HOUR_MS if first_day is None else first_day, end)

    def raw_is_kept(self, asked: Range) -> bool:
        """Return whether single readings are kept for all of a range."""
        return asked.start >= self.kept_since

    @property
    def kept_since(self) -> int:
        """From when on single readings are kept, Unix ms."""
        return self.now - self._retention_ms

    def is_past(self, asked: Range) -> bool:
        """Return whether a range ended long enough ago to change only by records that arrive late."""
        return asked.end <= self.now - _SETTLED_MS

    def spans(self, device: Device, grid: Grid) -> list[Span]:
        """Return what explains the gaps of a series, without what is shorter than a step of more than a minute."""
        evidence = grid.evidence(self.kept_since)
        found = spans(self._store, device.id, grid.range, self.now, evidence)
        least_ms = grid.step_ms if grid.step_ms > MINUTE.slot_ms else 0
        return [span for span in found if span.end - span.start >= least_ms]

    def summary(self, device: Device, asked: Range) -> Summary:
        """Return the sums over a range."""
        return summarize(self._store, device.id, asked, raw_is_kept=self.raw_is_kept(asked))
