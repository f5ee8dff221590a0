"""Messages that wait for the store: those of one device in their order, the devices in turns."""

import time
from collections import deque
from collections.abc import Iterable

from server.ingest.delivery import Delivery

_MAX_RECORDS = 1000
"""In one batch; the store serves nobody else while it writes one."""
_MAX_MESSAGES = 600
"""In one batch. Less than the broker sends before it waits for acknowledgements, so that more arrives meanwhile."""
_TURN_RECORDS = 50
"""Of one device, before the next one has its turn; a single message may have more."""


class BatchQueue:
    """Messages that wait, and how many records and statuses they carry."""

    def __init__(self) -> None:
        self._of_device: dict[str, deque[Delivery]] = {}
        self._turns: deque[str] = deque()
        """Devices with messages, each once; the first has the next turn."""
        self._length = 0
        self.records = 0
        """Estimated from the size of what is not decoded yet."""
        self.bytes = 0
        self.statuses = 0
        """Of devices; a later one must not overtake an earlier one."""
        self.since_s = 0.0
        """When a message arrived in the empty queue, on the monotonic clock."""

    def __len__(self) -> int:
        """Return the number of messages."""
        return self._length

    def add(self, delivery: Delivery) -> None:
        """Add a message at the end of its device's."""
        if not self._length:
            self.since_s = time.monotonic()
        self._line(delivery.device).append(delivery)
        self._count(delivery, 1)

    def put_back(self, batch: Iterable[Delivery]) -> None:
        """Put messages that were taken before those that their devices have sent since."""
        for delivery in reversed(list(batch)):
            self._line(delivery.device).appendleft(delivery)
            self._count(delivery, 1)

    def take(self) -> list[Delivery]:
        """Remove the next batch and return it; empty if nothing waits."""
        batch: list[Delivery] = []
        records = 0
        while self._turns:
            device = self._turns[0]
            line = self._of_device[device]
            turn = 0
            while line and turn < _TURN_RECORDS:
                records += line[0].weight
                if batch and (len(batch) == _MAX_MESSAGES or records > _MAX_RECORDS):
                    return batch
                delivery = line.popleft()
                turn += delivery.weight
                batch.append(delivery)
                self._count(delivery, -1)
            self._turns.rotate(-1)
            if not line:
                self._turns.pop()
                del self._of_device[device]
        return batch

    def _line(self, device: str) -> deque[Delivery]:
        line = self._of_device.get(device)
        if line is None:
            line = self._of_device[device] = deque()
            self._turns.append(device)
        return line

    def _count(self, delivery: Delivery, sign: int) -> None:
        self._length += sign
        self.records += sign * delivery.weight
        self.bytes += sign * len(delivery.payload)
        if delivery.kind == "status":
            self.statuses += sign
