"""What has arrived and is not yet on its way to the store, in the order in which it came."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from broker.messages import Status
from server.ingest.connection import Arrived
from server.ingest.decode import Taken

_MOST_RECORDS = 1000
"""In one batch; the store serves nobody else while it writes one."""
_MOST_MESSAGES = 600
"""In one batch: a part of what the broker sends before it waits for acknowledgements, so that more comes meanwhile."""


class Waiting(NamedTuple):
    """A message that has arrived and is not acknowledged."""

    arrived: Arrived
    taken: Taken


class Queue:
    """Messages that wait, and how many records and statuses they carry."""

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []
        self.records = 0
        self.statuses = 0
        """Of devices; a later one must not overtake an earlier one."""
        self.since_s = 0.0
        """When the first one came after there was none, on the monotonic clock."""

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self._waiting)

    def add(self, one: Waiting) -> None:
        """Let a message wait."""
        if not self._waiting:
            self.since_s = time.monotonic()
        self._waiting.append(one)
        self._count(one, 1)

    def put_back(self, batch: Sequence[Waiting]) -> None:
        """Let messages wait again, before those that have come since."""
        self._waiting = [*batch, *self._waiting]
        for one in batch:
            self._count(one, 1)

    def take(self) -> list[Waiting]:
        """Return what one batch shall have, which waits no longer."""
        batch: list[Waiting] = []
        records = 0
        for one in self._waiting:
            records += len(one.taken.records)
            if batch and (len(batch) == _MOST_MESSAGES or records > _MOST_RECORDS):
                break
            batch.append(one)
            self._count(one, -1)
        self._waiting = self._waiting[len(batch) :]
        return batch

    def _count(self, one: Waiting, sign: int) -> None:
        records = one.taken.records
        self.records += sign * len(records)
        if records and isinstance(records[0], Status):  # a status comes alone
            self.statuses += sign
