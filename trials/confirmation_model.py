"""Device, broker, ingest and store as a small machine without I/O, for any schedule of steps and faults.

What decides on the real system decides here too: the device's send window and what its session does with `stored` and
`generation`; ingest's decoder, queue and confirmations. The rest is modelled: an outbox whose newest rows a loss of
power takes, links that lose and repeat, a broker that may forget, a store whose log is on disk up to some point.
`docs/decisions/confirmation-model.md` says what is assumed and what must hold.
"""

import contextlib
import logging
from collections.abc import Iterable
from typing import Any, NamedTuple

from broker import messages, topics
from broker.messages import Generation, Reading, Stored
from common.outage import Outage
from device.delivery.row import Row
from device.delivery.send_window import Message, SendWindow
from device.delivery.session import Session
from device.delivery.timestamps import Stamp
from server.ingest.batch_queue import BatchQueue
from server.ingest.confirmations import Confirmations
from server.ingest.decode import decode
from server.ingest.delivery import Delivery
from server.store.types import Outcome
from trials.confirmation_store import Ghost, Key, StoreModel, ViolationError

DEVICE = "0123456789ab"
MOST_ROWS = 30


class OutboxModel:
    """An outbox: what is put survives a kill; a loss of power takes it back to what it was at the last sync."""

    def __init__(self, ghost: Ghost) -> None:
        self._ghost = ghost
        self.rows: dict[Key, Row] = {}
        self.marked: dict[Key, Row] = {}
        """Confirmed, and deleted with the next insert."""
        self.generation = 0
        self.disk: tuple[dict[Key, Row], int] = ({}, 0)

    def put(self, row: Row) -> None:
        """Add a row, and delete what is marked; the oldest go when there are too many."""
        self.marked.clear()
        self.rows[row.boot, row.seq] = row
        while len(self.rows) > MOST_ROWS:
            key = next(iter(self.rows))
            del self.rows[key]
            self._ghost.excused[key] = "dropped"

    def recent(self) -> list[Row]:
        """Return the newest row."""
        return list(self.rows.values())[-1:]

    def oldest(self, limit: int) -> list[Row]:
        """Return rows, oldest first."""
        return list(self.rows.values())[:limit]

    def confirm(self, boot: str, ranges: Iterable[tuple[int, int]]) -> None:
        """Mark rows as deleted."""
        for key in self._named(boot, ranges):
            self.marked[key] = self.rows.pop(key)

    def expire(self, boot: str, first: int, last: int) -> int:
        """Mark rows as deleted; the clocks of these devices are always set."""
        self.confirm(boot, [(first, last)])
        return 0

    def refuse(self, boot: str, first: int, last: int, why: str) -> None:
        """Set rows aside."""
        for key in self._named(boot, [(first, last)]):
            self.marked[key] = self.rows.pop(key)
            self._ghost.excused.setdefault(key, why)

    def raise_generation(self, generation: int) -> int:
        """Erase everything of earlier generations."""
        if generation <= self.generation:
            return 0
        for key in {**self.rows, **self.marked}:
            self._ghost.excused.setdefault(key, "erased")
        count = len(self.rows)
        self.rows, self.marked, self.generation = {}, {}, generation
        self.sync()  # it is checkpointed
        return count

    def sync(self) -> None:
        """Write everything to the disk."""
        self.disk = ({**self.marked, **self.rows}, self.generation)

    def kill(self) -> None:
        """Lose the marks."""
        self.rows, self.marked = dict(sorted({**self.marked, **self.rows}.items(), key=self._order)), {}

    def lose_power(self) -> None:
        """Go back to what is on disk."""
        rows, generation = self.disk
        for key in self.rows.keys() - rows.keys():
            self._ghost.excused.setdefault(key, "lost with the power")
        self.rows, self.marked, self.generation = dict(rows), {}, generation

    def _order(self, item: tuple[Key, Row]) -> int:
        return self._ghost.made[item[0]]

    def _named(self, boot: str, ranges: Iterable[tuple[int, int]]) -> list[Key]:
        return [key for key in self.rows if key[0] == boot and any(a <= key[1] <= b for a, b in ranges)]


class DeviceModel:
    """One device: records go into the outbox, out to the broker, and away when they are confirmed."""

    # What the real session does with these two messages.
    on_stored: Any = Session._on_stored  # noqa: SLF001
    _confirm: Any = Session._confirm  # noqa: SLF001
    on_generation: Any = Session._on_generation  # noqa: SLF001

    def __init__(self, ghost: Ghost) -> None:
        self.ghost = ghost
        self._outbox: Any = self.make_outbox(ghost)
        self._wake: Any = _Wake()
        self._postponed = Outage(logging.getLogger(__name__))
        self.on_erased: Any = lambda _generation: None
        self.boots = 0
        self.clock_s = 0.0
        self.skew_ms = 0
        self.start()

    make_outbox: type[OutboxModel] = OutboxModel

    @property
    def outbox(self) -> OutboxModel:
        """The outbox."""
        outbox: OutboxModel = self._outbox
        return outbox

    def start(self) -> None:
        """Start the process: another boot, nothing in flight."""
        self.boots += 1
        self.boot = f"{self.boots:016x}"
        self.next_seq = 0
        self._send_window = SendWindow(self._outbox, lambda: self.clock_s)
        self.unacknowledged: dict[int, Message] = {}
        """What the MQTT client sends again when it connects."""
        self._packet = 0

    def make(self) -> None:
        """Make a record."""
        at = self.ghost.now_ms + self.skew_ms
        reading = Reading(
            boot=self.boot, seq=self.next_seq, gen=self.outbox.generation, at=at, span_ms=3000, state="speech",
            scores={"ANG": 0.5}, level_dbfs=-30.0, model="m", clock_synced=True,
        )  # fmt: skip
        key = (self.boot, self.next_seq)
        if key in self.ghost.made:
            raise ViolationError(f"{key} names two records")
        if self.outbox.generation < self.ghost.heard:
            raise ViolationError(f"{key} is of a generation that the device knows to be erased")
        self.ghost.made[key] = len(self.ghost.made)
        self.next_seq += 1
        self.outbox.put(Row.of(reading, Stamp(at, synced=True, held_ms=None, kernel_boot="")))

    def publish(self) -> list[tuple[int, Message]]:
        """Return the messages that the send window lets out now."""
        sent: list[tuple[int, Message]] = []
        while rows := self._send_window.next_batch():
            self._packet += 1
            message = Message(topics.topic(DEVICE, "reading"), rows)
            self._send_window.published(self._packet, message)
            self.unacknowledged[self._packet] = message
            sent.append((self._packet, message))
        return sent

    def acknowledged(self, packet: int) -> None:
        """Take the broker's acknowledgement."""
        self.unacknowledged.pop(packet, None)
        self._send_window.acknowledged(packet)

    def reconnect(self) -> None:
        """Count nothing as in flight, as the session does."""
        self._send_window.resend_all()


class _Wake:
    """A condition that nobody waits for."""

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def notify_all(self) -> None:
        """Do nothing."""


class BrokerModel:
    """A broker: what it has acknowledged it delivers at least once, unless it is killed before it has saved it."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        """For ingest's lasting session."""
        self.unacknowledged: dict[int, bytes] = {}
        self.retained_generation: bytes | None = None
        self.to_device: list[tuple[str, bytes]] = []
        self._packet = 0

    def deliver(self, connection: int, place: int) -> Delivery:
        """Return the message at a place of the queue as ingest gets it."""
        self._packet += 1
        payload = self.waiting.pop(place)
        self.unacknowledged[self._packet] = payload
        return Delivery(topics.topic(DEVICE, "reading"), payload, self._packet, 1, connection)

    def redeliver(self) -> None:
        """Queue again what ingest has not acknowledged, because it has connected again."""
        self.waiting = [*self.unacknowledged.values(), *self.waiting]
        self.unacknowledged = {}

    def forget(self) -> None:
        """Lose everything."""
        self.__init__()  # type: ignore[misc]


class InFlight(NamedTuple):
    """A batch at the store."""

    batch: list[Delivery]
    outcomes: list[Outcome]
    place: int
    """In the store's log."""


class IngestModel:
    """Ingest: messages wait, are written, and are acknowledged and confirmed once they are on disk."""

    def __init__(self, broker: BrokerModel, store: StoreModel) -> None:
        self.broker, self.store = broker, store
        self.connection = 0
        self.start()

    def start(self) -> None:
        """Start the process, with nothing in memory."""
        self._queue = BatchQueue()
        self._in_flight: list[InFlight] = []
        self._confirmations = Confirmations()
        self.connect()

    def connect(self) -> None:
        """Connect to the broker, which delivers again what was not acknowledged."""
        self.connection += 1
        self.broker.redeliver()

    def take(self, place: int) -> None:
        """Take a message from the broker."""
        delivery = self.broker.deliver(self.connection, place)
        delivery.decoded = decode(delivery.topic, delivery.payload)
        self._queue.add(delivery)

    def write(self) -> None:
        """Send a batch to the store."""
        batch = self._queue.take()
        if batch:
            records = [record for one in batch for record in one.decoded.records if isinstance(record, Reading)]
            self._in_flight.append(InFlight(batch, *self.store.write(records)))

    def is_on_disk(self, one: InFlight) -> bool:
        """Return whether a batch is on the store's disk, with all that its outcomes rest on."""
        return one.place <= self.store.synced

    def settle(self) -> None:
        """Acknowledge and confirm the batches that are on disk, in order."""
        while self._in_flight and self.is_on_disk(self._in_flight[0]):
            batch, outcomes, _ = self._in_flight.pop(0)
            each = iter(outcomes)
            for delivery in batch:
                for record in delivery.decoded.records:
                    assert isinstance(record, Reading)
                    self._confirmations.add(DEVICE, record.boot, record.seq, next(each))
                if delivery.connection == self.connection:
                    self.broker.unacknowledged.pop(delivery.packet_id, None)
            if any(outcome.kind == "erased" for outcome in outcomes):
                self.publish_generation(self.store.state.generation)

    def lose_store(self) -> None:
        """Let all messages at the store wait again."""
        self._queue.put_back([delivery for one in self._in_flight for delivery in one.batch])
        self._in_flight.clear()

    def confirm(self) -> None:
        """Tell the device."""
        for _, stored in self._confirmations.take(now=True):
            self.broker.to_device.append(("stored", messages.encode(stored)))

    def publish_generation(self, generation: int) -> None:
        """Publish the generation that the device shall use; the broker retains it."""
        payload = messages.encode(Generation(gen=generation))
        self.broker.retained_generation = payload
        self.broker.to_device.append(("generation", payload))


def stored_keys(payload: bytes) -> set[Key]:
    """Return the records that a confirmation says are stored."""
    stored = messages.decode(payload, Stored)
    return {(stored.boot, seq) for first, last in stored.stored for seq in range(first, last + 1)}


def excuse(ghost: Ghost, payload: bytes) -> None:
    """Note which records the server says it does not store, and why."""
    stored = messages.decode(payload, Stored)
    for why, ranges in (("expired", stored.expired), ("erased", stored.erased)):
        for first, last in ranges:
            for seq in range(first, last + 1):
                with contextlib.suppress(KeyError):
                    ghost.excused.setdefault((stored.boot, seq), why)
