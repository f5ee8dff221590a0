"""What every route about a device asks first: which device, which range, and what is kept of it."""

from http import HTTPStatus

from broker import topics
from server.errors import ProblemError
from server.query import series, time_range
from server.query.time_range import Range
from server.settings import ServerSettings
from server.store.keys import DAY_MS
from server.store.redis_store import RedisStore
from server.store.rollups import MINUTE
from server.store.types import Device

_A_WHILE_MS = 10_000


class DeviceLookup:
    """Devices and ranges of a store, with problems for what is not there."""

    def __init__(self, store: RedisStore, settings: ServerSettings) -> None:
        self.store = store
        self._retention_ms = settings.retention_days * DAY_MS

    def find(self, mac: str) -> Device:
        """Return a device by its MAC address.

        Raises:
            ProblemError: 400, it is no address; 404, there is no such device.
        """
        try:
            device_id = topics.device_id(mac)
        except ValueError as error:
            raise ProblemError(HTTPStatus.BAD_REQUEST, str(error)) from error
        device = self.store.device(device_id)
        if device is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                f"there is no device {topics.mac_address(device_id)}: GET /api/v1/devices lists those that are there",
            )
        return device

    def now(self, device: Device) -> int:
        """Return a time that no reading of a device comes after; a device's clock may be ahead of ours."""
        now = self.store.now()
        return max(now, device.latest.at + 1) if device.latest else now

    def last_hour(self, device: Device) -> Range:
        """Return the range that a series has by default."""
        now = self.now(device)
        return Range(now - time_range.HOUR_MS, now)

    def everything(self, device: Device) -> Range:
        """Return the range of all that is kept of a device's records."""
        now = self.now(device)
        first_day = self.store.first_day(device.id)
        return Range(now - time_range.HOUR_MS if first_day is None else first_day, now)

    def raw_is_kept(self, asked: Range) -> bool:
        """Return whether single readings reach back to the start of a range."""
        return asked.start >= self.store.now() - self._retention_ms

    def spans(self, device: Device, grid: series.Grid) -> list[series.Span]:
        """Return what explains the gaps of a series."""
        least_ms = grid.step_ms if grid.step_ms > MINUTE.slot_ms else 1
        since = self.store.now() - self._retention_ms
        return series.spans(self.store, device.id, grid.range, least_ms, grid.evidence(since))

    def is_past(self, inside: Range) -> bool:
        """Return whether a range has ended a while ago, so that it changes only by what arrives late."""
        return inside.end <= self.store.now() - _A_WHILE_MS

    def summary(self, device: Device, inside: Range) -> series.Summary:
        """Return the sums over a range."""
        return series.summary(self.store, device.id, inside, raw_is_kept=self.raw_is_kept(inside))
