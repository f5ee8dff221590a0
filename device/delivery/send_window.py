"""What is in flight: messages until the broker acknowledges them, rows until they are confirmed. Without I/O."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from broker import messages
from broker.messages import MAX_BATCH, MAX_PAYLOAD_BYTES, Range
from common.backoff import Backoff
from device.delivery.outbox import RECENT_ROWS, Outbox
from device.delivery.row import Row

MAX_UNCONFIRMED = 200
"""Rows that may be in flight."""
MAX_BACKLOG = MAX_UNCONFIRMED - RECENT_ROWS
"""Rows of the backlog that may be in flight, so that there is always room for what is heard now."""
MAX_POSTPONED = 5_000
"""Rows that the server takes later; more of them keep their place in flight."""
MAX_UNACKNOWLEDGED = 20
"""Messages that the broker may leave unacknowledged before no rows are sent; bounds the queue in memory."""
FIRST_RETRY_S, LONGEST_RETRY_S, LEAST_RETRY = 12.5, 375.0, 0.6
"""Waits for a confirmation: 10 s on average at first, doubling up to 5 min, each a quarter more or less."""
_ENVELOPE_BYTES = 1_024


class Message(NamedTuple):
    """A message that the broker has not acknowledged."""

    topic: str
    rows: Sequence[Row]
    """The rows that it carries; empty for a message of another kind."""

    def ranges(self) -> dict[str, tuple[Range, ...]]:
        """Return the sequence numbers of its rows by boot."""
        numbers: dict[str, list[int]] = {}
        for row in self.rows:
            numbers.setdefault(row.boot, []).append(row.seq)
        return {boot: messages.ranges(of_boot) for boot, of_boot in numbers.items()}


class _Sent(NamedTuple):
    retry_s: float
    """When to send the row again."""
    backoff: Backoff


class SendWindow:
    """Decides which rows to send when: the newest at once, the backlog oldest first, all again after a growing pause.

    The caller sends what `next_batch` gives, and tells what it published and what came back.
    """

    def __init__(self, outbox: Outbox, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._outbox = outbox
        self._clock_s = clock_s
        self._messages: dict[int, Message] = {}
        """By packet identifier."""
        self._rows: dict[tuple[str, int], _Sent] = {}
        """By boot and sequence number."""
        self._postponed: dict[tuple[str, int], _Sent] = {}
        """Rows that the server takes later; not in flight."""

    def next_batch(self) -> list[Row]:
        """Return rows of one kind to send now as one message, and count them as in flight; often none.

        What was put in the last seconds goes first, however long the backlog is; of the backlog the oldest.
        """
        if len(self._messages) >= MAX_UNACKNOWLEDGED:
            return []
        backlog = MAX_UNCONFIRMED + MAX_BATCH + len(self._postponed)
        return self._take(self._outbox.recent(), MAX_UNCONFIRMED) or self._take(
            self._outbox.oldest(backlog), MAX_BACKLOG
        )

    def published(self, packet_id: int, message: Message) -> None:
        """Count a message as in flight."""
        self._messages[packet_id] = message

    def acknowledged(self, packet_id: int) -> Message | None:
        """Return the message that the broker has acknowledged, no longer in flight; None for one of QoS 0."""
        return self._messages.pop(packet_id, None)

    def confirmed(self, boot: str, ranges: Iterable[tuple[int, int]]) -> None:
        """Count rows as no longer in flight; ranges include both ends."""
        for first, last in ranges:
            for known in (self._rows, self._postponed):
                for key in [key for key in known if key[0] == boot and first <= key[1] <= last]:
                    del known[key]

    def postpone(self, boot: str, first: int, last: int) -> None:
        """Count rows as no longer in flight, and send them again after their next pause, others meanwhile."""
        for key in [key for key in self._rows if key[0] == boot and first <= key[1] <= last]:
            if len(self._postponed) < MAX_POSTPONED:
                backoff = self._rows.pop(key).backoff
                self._postponed[key] = _Sent(self._clock_s() + backoff.next_s(), backoff)

    def resend_all(self) -> None:
        """Count no row as in flight, because the connection or the server that they went to is gone."""
        self._rows.clear()
        self._postponed.clear()

    def _take(self, rows: list[Row], most: int) -> list[Row]:
        """Return the first of the rows that are not in flight, as many as fit one message and the bound."""
        now_s = self._clock_s()
        batch: list[Row] = []
        size = _ENVELOPE_BYTES
        for row in rows:
            key = (row.boot, row.seq)
            sent = self._rows.get(key) or self._postponed.get(key)
            if sent and sent.retry_s > now_s:
                continue
            if key not in self._rows and len(self._rows) >= most:
                break
            size += len(row.payload) + 1
            if batch and (row.kind != batch[0].kind or size > MAX_PAYLOAD_BYTES or len(batch) == MAX_BATCH):
                break
            batch.append(row)
            backoff = sent.backoff if sent else Backoff(FIRST_RETRY_S, LONGEST_RETRY_S, LEAST_RETRY)
            self._postponed.pop(key, None)
            self._rows[key] = _Sent(now_s + backoff.next_s(), backoff)
        return batch
