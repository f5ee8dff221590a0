"""What ingest takes in: messages within their devices' budgets wait, are decoded, and make batches for the store."""

import contextlib
import logging

from broker.messages import WireError
from common.bucket import Limit
from common.log_limit import LogLimit
from server.ingest.batch_queue import BatchQueue
from server.ingest.budget import Budgets
from server.ingest.clock_trust import ClockWatch
from server.ingest.decode import Decoded, address, decode
from server.ingest.delivery import NOT_DECODED, Delivery

log = logging.getLogger(__name__)

_MOST_WAITING, _MOST_WAITING_BYTES = 10_000, 16_777_216
"""Messages with QoS 0 that come beyond this are dropped; the broker would send them without end."""
_RECORD_BYTES = 300
"""About the size of a record."""
_RECORDS = ("reading", "heard")
"""Kinds of messages that carry records."""
_LOG_DROPPED = Limit(1 / 60, 100)
"""Lines about each device's malformed messages."""
_LOG_LEFT = Limit(1 / 60, 1)
"""Lines about each device's messages beyond its budget."""


class Intake:
    """The messages between broker and store."""

    def __init__(self) -> None:
        self.queue = BatchQueue()
        self.dropped = 0
        """Messages and records that could not be read."""
        self._left: list[Delivery] = []
        """Messages that the broker may forget and the store does not get."""
        self.clock_watch = ClockWatch()
        self.looks_ahead = False
        """Whether to decode what comes before it is taken, because it may tell whose clock is wrong."""
        self._budgets = Budgets()
        self._late: dict[str, Delivery] = {}
        """The newest status of each device that sends more of them than its budget allows."""
        self._dropped_lines, self._left_lines = LogLimit(_LOG_DROPPED), LogLimit(_LOG_LEFT)

    def receive(self, delivery: Delivery) -> None:
        """Let a message wait if it is within its device's budget."""
        is_full = len(self.queue) >= _MOST_WAITING or self.queue.bytes >= _MOST_WAITING_BYTES
        if delivery.qos == 0 and is_full:
            return  # of the others the broker sends only so many; these would pile up while the store is away
        size = len(delivery.payload)
        delivery.weight = max(1, size // _RECORD_BYTES)
        with contextlib.suppress(WireError):  # `_decode` says what is wrong with the topic
            delivery.device, delivery.kind = address(delivery.topic)
        superseded = self._late.pop(delivery.device, None) if delivery.kind == "status" else None
        if superseded:
            self._leave(superseded)
        if self._budgets.allow(delivery.device, delivery.kind, size):
            if self.looks_ahead:
                self._decode(delivery)
            self.queue.add(delivery)
        elif delivery.kind == "status":
            self._late[delivery.device] = delivery
        else:
            self._leave(delivery)

    def send_late(self) -> None:
        """Let a late status wait for the store as soon as its device's budget allows."""
        for device, delivery in list(self._late.items()):
            if self._budgets.allow(device, delivery.kind, len(delivery.payload)):
                del self._late[device]
                self.queue.add(delivery)

    def take_left(self) -> list[Delivery]:
        """Return the messages to acknowledge although nobody keeps them, and forget them."""
        left, self._left = self._left, []
        return left

    def take(self) -> list[Delivery]:
        """Return the next batch for the store, decoded."""
        batch = self.queue.take()
        for delivery in batch:
            if delivery.decoded is NOT_DECODED:
                self._decode(delivery)
        return batch

    def _decode(self, delivery: Delivery) -> None:
        """Decode a message; say what of it is dropped."""
        try:
            decoded = decode(delivery.topic, delivery.payload)
        except WireError as error:
            decoded = Decoded("", dropped=[str(error)])
        if delivery.kind in _RECORDS and not self._budgets.allow_records(delivery.device, len(decoded.records)):
            decoded = decoded._replace(records=())
            self._report_left(delivery)
        if decoded.records:
            self.clock_watch.note(delivery.device, decoded.records)
        delivery.decoded = decoded
        if decoded.dropped or decoded.refused:
            for reason in [*decoded.dropped, *(f"{reason} (refused)" for _, reason in decoded.refused)]:
                self.dropped += 1
                others = self._dropped_lines.left_out(delivery.device)
                if others is not None:
                    before = f"; {others} lines before this one were left out" if others else ""
                    log.warning("dropped number %d on %s: %s%s", self.dropped, delivery.topic, reason, before)

    def _leave(self, delivery: Delivery) -> None:
        """Drop a message that is too much of its device; what is in it stays unconfirmed, so the device keeps it."""
        self._left.append(delivery)
        self._report_left(delivery)

    def _report_left(self, delivery: Delivery) -> None:
        """Log a message beyond the budget now and then, with the count of the others."""
        others = self._left_lines.left_out(delivery.device)
        if others is not None:
            log.warning(
                "more on %s than any device sends: a message of %d bytes is left to it, after %d others",
                delivery.topic,
                len(delivery.payload),
                others,
            )
