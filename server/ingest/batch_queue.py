"""Messages that wait for the store, in the order in which they arrived."""

import time
from collections.abc import Sequence

from broker.messages import Status
from server.ingest.delivery import Delivery

_MAX_RECORDS = 1000
"""In one batch; the store serves nobody else while it writes one."""
_MAX_MESSAGES = 600
"""In one batch. Less than the broker sends before it waits for acknowledgements, so that more arrives meanwhile."""


class BatchQueue:
    """Messages that wait, and how many records and statuses they carry."""

    def __init__(self) -> None:
        self._waiting: list[Delivery] = []
        self.records = 0
        self.statuses = 0
        """Of devices; a later one must not overtake an earlier one."""
        self.since_s = 0.0
        """When a message arrived in the empty queue, on the monotonic clock."""

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self._waiting)

    def add(self, delivery: Delivery) -> None:
        """Add a message at the end."""
        if not self._waiting:
            self.since_s = time.monotonic()
        self._waiting.append(delivery)
        self._count(delivery, 1)

    def put_back(self, batch: Sequence[Delivery]) -> None:
        """Put messages that were taken before those that arrived since."""
        self._waiting = [*batch, *self._waiting]
        for delivery in batch:
            self._count(delivery, 1)

    def take(self) -> list[Delivery]:
        """Remove the next batch and return it; empty if nothing waits."""
        batch: list[Delivery] = []
        records = 0
        for delivery in self._waiting:
            records += len(delivery.decoded.records)
            if batch and (len(batch) == _MAX_MESSAGES or records > _MAX_RECORDS):
                break
            batch.append(delivery)
            self._count(delivery, -1)
        self._waiting = self._waiting[len(batch) :]
        return batch

    def _count(self, delivery: Delivery, sign: int) -> None:
        records = delivery.decoded.records
        self.records += sign * len(records)
        if records and isinstance(records[0], Status):  # a status comes alone
            self.statuses += sign
