"""What ingest takes of one device: budgets that no honest device reaches, so that none takes the others' turn.

What is too much is not confirmed, so a device keeps it and sends it again, ever later. A restart fills the budgets.
"""

import time
from collections.abc import Callable

from broker.topics import RESPONSES
from common.bucket import Bucket, Limit

_MESSAGES = Limit(200, 4_000)
_BYTES = Limit(1_000_000, 8_000_000)
_RECORDS = (Limit(2_000, 20_000), Limit(10, 1_000_000))
"""A device hears one window a second. It sends its backlog as fast as the server confirms, and that may be a week's."""
_OF_KIND: dict[str, Limit] = {"status": Limit(0.5, 30), "health": Limit(0.2, 12)} | dict.fromkeys(
    RESPONSES, Limit(1, 60)
)
"""Each costs the store a call of its own; while it keeps a status it keeps nothing else."""
_MOST_DEVICES = 20_000


class _Device:
    """The buckets of one device."""

    __slots__ = ("bytes", "kinds", "messages", "records")

    def __init__(self, now_s: float) -> None:
        self.messages = Bucket(_MESSAGES, now_s)
        self.bytes = Bucket(_BYTES, now_s)
        self.records = [Bucket(limit, now_s) for limit in _RECORDS]
        self.kinds: dict[str, Bucket] = {}


class Budgets:
    """The budgets of all devices.

    Args:
        clock_s: Returns the time in seconds, since any start.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._devices: dict[str, _Device] = {}

    def allow(self, device: str, kind: str, size: int) -> bool:
        """Return whether a message of so many bytes is within its device's budget, and count it if it is."""
        now_s = self._clock_s()
        found = self._find(device, now_s)
        limit = _OF_KIND.get(kind)
        if limit is not None:
            bucket = found.kinds.get(kind)
            if bucket is None:
                bucket = found.kinds[kind] = Bucket(limit, now_s)
            if not bucket.take(1, now_s):
                return False
        return found.messages.take(1, now_s) and found.bytes.take(size, now_s)

    def allow_records(self, device: str, count: int) -> bool:
        """Return whether so many records are within a device's budget, and count them if they are."""
        now_s = self._clock_s()
        return all(bucket.take(count, now_s) for bucket in self._find(device, now_s).records)

    def _find(self, device: str, now_s: float) -> _Device:
        found = self._devices.get(device)
        if found is None:
            if len(self._devices) >= _MOST_DEVICES:  # the broker lets an account speak as one device only
                self._devices.clear()
            found = self._devices[device] = _Device(now_s)
        return found
