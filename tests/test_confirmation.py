"""The model of the confirmation: schedules break nothing, and every broken protocol is caught."""

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from broker import messages
from broker.batches import split
from broker.messages import Generation, Reading, Stored
from device.delivery.row import Row
from device.delivery.send_window import SendWindow
from server.store.types import Outcome
from trials.confirmation import Parts, World
from trials.confirmation_model import DEVICE, DeviceModel, InFlight, IngestModel, OutboxModel
from trials.confirmation_store import KEEP_MS, Key, StoreModel, StoreState, ViolationError

SCHEDULES = 300
MOST = 6_000
"""Schedules within which a broken protocol must be caught; most need a few dozen."""


def test_schedules_break_nothing() -> None:
    """Hundreds of schedules; `python -m trials.confirmation 100000` runs more."""
    for seed in range(SCHEDULES):
        World(seed).run()


class ConfirmsBeforeSync(IngestModel):
    """Confirms what the store has in memory."""

    def is_on_disk(self, one: InFlight) -> bool:
        """Return whether it confirms."""
        return True


class ConfirmsRepeatsBeforeSync(IngestModel):
    """Waits for the disk only where this batch has changed something."""

    def is_on_disk(self, one: InFlight) -> bool:
        """Return whether it confirms."""
        return super().is_on_disk(one) or all(outcome.kind == "repeat" for outcome in one.outcomes)


class ConfirmsOnReceipt(IngestModel):
    """Confirms what it has in memory."""

    def take(self, place: int) -> None:
        """Confirm at once."""
        payload = self.broker.waiting[place]
        super().take(place)
        for part in split(payload):
            record = messages.decode(part, Reading)
            self._confirmations.add(DEVICE, record.boot, record.seq, Outcome("stored"))


class ForgetsWhatTheStoreRefusesForNow(IngestModel):
    """Confirms a batch whose writing failed."""

    def lose_store(self) -> None:
        """Confirm what may not be written."""
        for one in self._in_flight:
            for delivery, outcome in zip(one.batch, one.outcomes, strict=False):
                for record in delivery.decoded.records:
                    assert isinstance(record, Reading)
                    self._confirmations.add(DEVICE, record.boot, record.seq, outcome)
        self._in_flight.clear()


class ForgetsGeneration(StoreModel):
    """Takes records of any generation."""

    def _take(self, state: StoreState, record: Reading) -> tuple[Outcome, StoreState]:
        return super()._take(state, replace(record, gen=max(record.gen, state.generation)))


class ErasesItsGeneration(StoreModel):
    """Keeps nothing of an erased device."""

    def erase(self) -> int:
        """Begin with generation 0 again."""
        return self.change(StoreState(0, ever=self.state.ever, erased=self.state.ever))


class HasNoBitmap(StoreModel):
    """Stores whatever comes."""

    def is_seen(self, state: StoreState, key: Key) -> bool:
        """Return whether it takes the record for a repeat."""
        return False


class ForgetsBoots(StoreModel):
    """Knows a record by its number alone."""

    def is_seen(self, state: StoreState, key: Key) -> bool:
        """Return whether it takes the record for a repeat."""
        return key[1] in {seq for _, seq in state.seen}


class SetsTheBitFirst(StoreModel):
    """Writes bit and record in two steps."""

    def append(self, state: StoreState, record: Reading) -> StoreState:
        """Make a change with the bit alone."""
        self.change(state._replace(seen=state.seen | {(record.boot, record.seq)}))
        return super().append(state, record)


class ForgetsBitmapsEarly(StoreModel):
    """Forgets a bitmap while records of its boot may still be taken."""

    def _expire(self, state: StoreState) -> StoreState:
        gone = {boot for boot, at in state.last_at if at + KEEP_MS // 2 <= self.now_ms()}
        return state._replace(seen=frozenset(key for key in state.seen if key[0] not in gone))


class TrustsTheBroker(DeviceModel):
    """Forgets what the broker has acknowledged."""

    def acknowledged(self, packet: int) -> None:
        """Delete the rows of a message."""
        if message := self.unacknowledged.get(packet):
            for boot, ranges in message.ranges().items():
                self._confirm(boot, ranges)
        super().acknowledged(packet)


class ForgetsUpTo(DeviceModel):
    """Takes the highest number for all below it."""

    def on_stored(self, payload: bytes) -> None:
        """Delete too much."""
        stored = messages.decode(payload, Stored)
        if stored.stored:
            self._confirm(stored.boot, [(0, stored.stored[-1][1])])


class ForgetsTheBoot(DeviceModel):
    """Takes each confirmation for one of the present boot."""

    def on_stored(self, payload: bytes) -> None:
        """Delete too much."""
        super().on_stored(messages.encode(replace(messages.decode(payload, Stored), boot=self.boot)))


class RenamesErased(DeviceModel):
    """Lets what waits belong to the new generation."""

    def on_generation(self, payload: bytes) -> None:
        """Take the generation."""
        generation = messages.decode(payload, Generation).gen
        if generation > self.outbox.generation:
            self.outbox.generation = generation
            for key, row in self.outbox.rows.items():
                record = replace(messages.decode(row.payload, Reading), gen=generation)
                self.outbox.rows[key] = Row.of(record, row.stamp)


class TakesAnyGeneration(DeviceModel):
    """Goes back to an older generation when it is told so late."""

    def on_generation(self, payload: bytes) -> None:
        """Take the generation."""
        super().on_generation(payload)
        self.outbox.generation = messages.decode(payload, Generation).gen


class CountsFromZero(DeviceModel):
    """Has one boot for ever."""

    def start(self) -> None:
        """Start the process."""
        super().start()
        self.boot = "0" * 16


class SendsOnce(DeviceModel):
    """Takes what was sent for delivered."""

    def start(self) -> None:
        """Start the process."""
        super().start()
        self._send_window = SendWindow(self._outbox, lambda: 0.0)

    def reconnect(self) -> None:
        """Keep all in flight."""


class MemoryOnly(OutboxModel):
    """Has nothing on disk when it is killed."""

    def kill(self) -> None:
        """Lose all."""
        self.rows, self.marked = {}, {}


class KeepsInMemory(DeviceModel):
    """Has no outbox on its disk."""

    make_outbox = MemoryOnly


class LosesOnFull(OutboxModel):
    """Does not count what it drops."""

    def put(self, row: Row) -> None:
        """Keep eight rows."""
        super().put(row)
        for key in [*self.rows][:-8]:
            del self.rows[key]


class DropsSilently(DeviceModel):
    """Drops the oldest without a count."""

    make_outbox = LosesOnFull


def ids(parts: Iterable[Parts]) -> list[str]:
    """Return what is broken in each."""
    names = []
    for part in parts:
        broken = [
            kind.__name__ for kind in (part.device, part.store, part.ingest) if not kind.__name__.endswith("Model")
        ]
        names.append(broken[0] if broken else "TellsOfErasuresBeforeSync")
    return names


BROKEN = [
    *(Parts(ingest=one) for one in (ConfirmsBeforeSync, ConfirmsRepeatsBeforeSync, ConfirmsOnReceipt)),
    Parts(ingest=ForgetsWhatTheStoreRefusesForNow),
    *(Parts(store=one) for one in (ForgetsGeneration, ErasesItsGeneration, HasNoBitmap, ForgetsBoots, SetsTheBitFirst)),
    Parts(store=ForgetsBitmapsEarly),
    *(Parts(device=one) for one in (TrustsTheBroker, ForgetsUpTo, ForgetsTheBoot, RenamesErased, TakesAnyGeneration)),
    *(Parts(device=one) for one in (CountsFromZero, SendsOnce, KeepsInMemory, DropsSilently)),
    Parts(receipt_waits=False),
]


@pytest.mark.parametrize("parts", BROKEN, ids=ids(BROKEN))
def test_a_broken_protocol_is_caught(parts: Parts) -> None:
    """Each way to confirm, number, erase or keep that is not ours breaks a schedule soon."""
    for seed in range(MOST):
        try:
            World(seed, parts).run()
        except ViolationError as violation:
            print(f"seed {seed}: {violation}")
            return
    pytest.fail(f"{MOST} schedules broke nothing")
