"""Decides which rows of the outbox to send when: bounded, oldest first, again after a growing pause. Without I/O."""

import random
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from broker.messages import MAX_BATCH, MAX_PAYLOAD_BYTES
from broker.messages import ranges as as_ranges
from device.delivery.outbox import RECENT_ROWS, Outbox
from device.delivery.row import Row

MAX_UNCONFIRMED = 200
"""Rows that may be on their way at a time."""
MAX_BACKLOG = MAX_UNCONFIRMED - RECENT_ROWS
"""So many of them may be old ones, so that there is always room for what is heard now."""
FIRST_RETRY_S = 10.0
LONGEST_RETRY_S = 300.0
_ENVELOPE_BYTES = 1_024


class _Sent(NamedTuple):
    again_s: float
    attempts: int


class SendWindow:
    """Keeps track of what is on its way. The caller sends what `next_batch` gives and passes on what comes back."""

    def __init__(self, outbox: Outbox, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._outbox = outbox
        self._clock_s = clock_s
        self._sent: dict[tuple[str, int], _Sent] = {}

    def next_batch(self) -> list[Row]:
        """Return rows of one kind to send now as one message, and count them as on their way; often none.

        What was put in the last seconds goes first, however long the backlog is; of the backlog the oldest.
        """
        recent = self._outbox.recent()
        return self._take(recent, MAX_UNCONFIRMED) or self._take(
            self._outbox.oldest(MAX_UNCONFIRMED + MAX_BATCH), MAX_BACKLOG
        )

    def confirmed(self, rows: Iterable[Row]) -> None:
        """Forget the rows of one message, here and in the outbox, because a confirmation of the message is enough."""
        numbers: dict[str, list[int]] = {}
        for row in rows:
            numbers.setdefault(row.boot, []).append(row.seq)
        for boot, of_boot in numbers.items():
            self._outbox.confirm(boot, as_ranges(of_boot))
            self.settled(boot, as_ranges(of_boot))

    def settled(self, boot: str, ranges: Iterable[tuple[int, int]]) -> None:
        """Take note that these are no longer on their way."""
        for first, last in ranges:
            for key in [key for key in self._sent if key[0] == boot and first <= key[1] <= last]:
                del self._sent[key]

    def start_over(self) -> None:
        """Forget what is on its way, because the connection it went over is gone."""
        self._sent.clear()

    def _take(self, rows: list[Row], most: int) -> list[Row]:
        """Return the first of the rows that are not on their way, as many as fit one message and the bound."""
        now_s = self._clock_s()
        batch: list[Row] = []
        size = _ENVELOPE_BYTES
        for row in rows:
            sent = self._sent.get((row.boot, row.seq))
            if sent and sent.again_s > now_s:
                continue
            if not sent and len(self._sent) >= most:
                break
            size += len(row.payload) + 1
            if batch and (row.kind != batch[0].kind or size > MAX_PAYLOAD_BYTES or len(batch) == MAX_BATCH):
                break
            batch.append(row)
            attempts = sent.attempts + 1 if sent else 1
            self._sent[row.boot, row.seq] = _Sent(now_s + _pause_s(attempts), attempts)
        return batch


def _pause_s(attempts: int) -> float:
    """Return how long to wait for a confirmation: doubling, with jitter so that devices do not move in step."""
    return min(FIRST_RETRY_S * 2.0 ** (attempts - 1), LONGEST_RETRY_S) * random.uniform(0.75, 1.25)  # noqa: S311
