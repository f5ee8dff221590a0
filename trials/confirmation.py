"""Drives the model of the confirmation: `python -m trials.confirmation [schedules] [first seed]`.

A schedule is a seed: which faults happen and how often is drawn for it, then some dozens of steps, with a check after
each; then everything heals, and what was made must be stored once or be accounted for. The exit code is 1 if a schedule
breaks something; its seed and its last steps are printed.
"""

import dataclasses
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from broker import messages
from trials.confirmation_model import BrokerModel, DeviceModel, IngestModel, excuse, stored_keys
from trials.confirmation_store import HOUR_MS, Ghost, Key, StoreModel, ViolationError

STEPS = 60
HEAL_ROUNDS = 60
"""Within so many fair rounds everything must have arrived."""


@dataclasses.dataclass
class Parts:
    """The classes that a schedule is run with; a mutation replaces one by a broken one."""

    device: type[DeviceModel] = DeviceModel
    store: type[StoreModel] = StoreModel
    broker: type[BrokerModel] = BrokerModel
    ingest: type[IngestModel] = IngestModel
    receipt_waits: bool = True
    """Whether who erases is told so only when that is on disk."""


class World:
    """One device, a broker, two ingests that share the work, and a store; every method named in `ACTIONS` is a step."""

    def __init__(self, seed: int, parts: Parts | None = None) -> None:
        parts = parts or Parts()
        self.seed = seed
        self.rng = random.Random(seed)
        self.ghost = Ghost()
        self.device = parts.device(self.ghost)
        self.broker = parts.broker()
        self.store = parts.store(self.ghost)
        self.ingests = [parts.ingest(self.broker, self.store) for _ in range(2)]
        self.parts = parts
        self.connected = True
        self.pending_erasures: list[tuple[int, int]] = []
        """Place in the log, and how many records had been made."""
        self.trace: list[str] = []

    def run(self) -> Counter[str]:
        """Run the schedule, and return how often each step was taken.

        Raises:
            ViolationError: something that must hold does not.
        """
        random.seed(self.seed)  # of the real backoff
        weights = [weight * (self.rng.random() < often) for _, weight, often in ACTIONS]
        weights[:BASE] = [weight for _, weight, _ in ACTIONS[:BASE]]
        for action, _, _ in self.rng.choices(ACTIONS, weights, k=STEPS):
            self.trace.append(action.__name__)
            action(self)
            self.check()
        self.heal()
        return Counter(self.trace)

    # What happens on a good day.

    def make(self) -> None:
        """The device hears something."""
        for _ in range(self.rng.randint(1, 4)):
            self.device.make()

    def send(self) -> None:
        """The device sends what its window lets out; acknowledgements may get lost with the connection later."""
        if not self.connected:
            return
        for packet, message in self.device.publish():
            if self.rng.random() < 0.9:
                self._arrive(packet, message)

    def send_again(self) -> None:
        """What the broker has not acknowledged comes again, in any order."""
        if self.connected:
            waiting = list(self.device.unacknowledged.items())
            self.rng.shuffle(waiting)
            for packet, message in waiting:
                self._arrive(packet, message)

    def wait(self) -> None:
        """Time passes, and rows without confirmation are due again."""
        self.device.clock_s += self.rng.choice([1, 20, 400])

    def deliver(self) -> None:
        """The broker hands a message to one of the ingests; over reconnections the order may change."""
        if self.broker.waiting:
            self.rng.choice(self.ingests).take(self.rng.randrange(min(3, len(self.broker.waiting))))

    def write(self) -> None:
        """An ingest sends a batch to the store."""
        self.rng.choice(self.ingests).write()

    def sync(self) -> None:
        """The store's log gets onto the disk."""
        self.store.sync()
        self._tell_of_erasures()

    def settle(self) -> None:
        """An ingest takes up what is on disk."""
        self.rng.choice(self.ingests).settle()

    def confirm(self) -> None:
        """An ingest tells the device."""
        self.rng.choice(self.ingests).confirm()

    def hear(self) -> None:
        """The device gets one of the messages to it: late, twice or in another order."""
        if self.broker.to_device and self.connected:
            place = self.rng.randrange(len(self.broker.to_device))
            kind, payload = self.broker.to_device[place]
            if self.rng.random() < 0.9:
                del self.broker.to_device[place]
            self._hear(kind, payload)

    def save_outbox(self) -> None:
        """The device's disk has all of its outbox."""
        self.device.outbox.sync()

    # Faults.

    def cut(self) -> None:
        """The connection breaks; it comes back at once, or later."""
        self.connected = False
        self.broker.to_device = self.broker.to_device[: self.rng.randrange(2)]  # one may have been on its way

    def connect(self) -> None:
        """The device connects, hears the generation, and counts nothing as in flight."""
        if not self.connected:
            self.connected = True
            self.device.reconnect()
            if self.broker.retained_generation:
                self.broker.to_device.append(("generation", self.broker.retained_generation))

    def kill_device(self) -> None:
        """Kill -9."""
        self.device.outbox.kill()
        self._restart_device()

    def unplug_device(self) -> None:
        """The device loses its power."""
        self.device.outbox.lose_power()
        self._restart_device()

    def reconnect_ingest(self) -> None:
        """An ingest's connection breaks and comes back."""
        self.rng.choice(self.ingests).connect()

    def kill_ingest(self) -> None:
        """An ingest dies."""
        self.rng.choice(self.ingests).start()

    def lose_store(self) -> None:
        """An ingest's connection to the store breaks: what it wrote is written, but it does not know."""
        self.rng.choice(self.ingests).lose_store()

    def restart_broker(self) -> None:
        """The broker starts again and has everything on its disk."""
        self.cut()
        for ingest in self.ingests:
            ingest.connect()

    def wipe_broker(self) -> None:
        """The broker starts again and has forgotten everything."""
        self.cut()
        self.broker.forget()
        for ingest in self.ingests:
            ingest.connect()

    def unplug_store(self) -> None:
        """The store loses its power, and with it the end of its log."""
        self.store.lose_power(self.rng)
        self.pending_erasures.clear()
        for ingest in self.ingests:
            ingest.lose_store()

    def erase(self) -> None:
        """Somebody deletes the device's data, and is told so when that is on disk."""
        self.pending_erasures.append((self.store.erase(), len(self.ghost.made)))
        if not self.parts.receipt_waits:
            self._tell_of_erasures(everything=True)

    def pass_hours(self) -> None:
        """Hours pass: records get too old, and bitmaps are forgotten."""
        self.ghost.now_ms += self.rng.choice([1, 5, 30, 80]) * HOUR_MS

    def set_clocks(self) -> None:
        """A clock is wrong by some minutes."""
        self.device.skew_ms = self.rng.choice([0, -200_000, 200_000])
        self.store.skew_ms = self.rng.choice([0, -90_000, 90_000])

    # What must hold.

    def check(self) -> None:
        """Check what must hold after every step, whatever is lost next: the oldest state that a crash may leave."""
        for state in (self.store.states[0], self.store.state):
            for key in state.records:
                if self.ghost.made[key] < self.ghost.erased_before:
                    raise ViolationError(f"{key} was erased and is there")
        oldest = self.store.states[0]
        for key in self.ghost.confirmed - oldest.records - oldest.erased:
            raise ViolationError(f"{key} is confirmed, and a loss of power would take it")

    def heal(self) -> None:
        """Let everything work again, and check that everything made arrives or is accounted for."""
        self.trace.append("heal")
        self.device.skew_ms = self.store.skew_ms = 0
        for _ in range(HEAL_ROUNDS):
            self.device.clock_s += 400
            self.connect()
            for packet, message in [*self.device.unacknowledged.items(), *self.device.publish()]:
                self._arrive(packet, message)
            for ingest in self.ingests:
                while self.broker.waiting:
                    ingest.take(0)
                ingest.write()
                self.sync()
                ingest.settle()
                ingest.confirm()
            while self.broker.to_device:
                self._hear(*self.broker.to_device.pop(0))
            self.check()
            if not self.device.outbox.rows:
                break
        self._account()

    def _account(self) -> None:
        if self.device.outbox.rows:
            raise ViolationError(f"{len(self.device.outbox.rows)} records never leave the outbox")
        for key in self.ghost.made:
            if key not in self.store.state.ever and key not in self.ghost.excused:
                raise ViolationError(f"{key} is neither stored nor accounted for")

    def _arrive(self, packet: int, message: Any) -> None:
        """Let a message reach the broker, and mostly its acknowledgement the device."""
        self.broker.waiting.append(messages.join([row.payload for row in message.rows]))
        if self.rng.random() < 0.8:
            self.device.acknowledged(packet)

    def _hear(self, kind: str, payload: bytes) -> None:
        if kind == "generation":
            self.device.on_generation(payload)
            self.ghost.heard = max(self.ghost.heard, messages.decode(payload, messages.Generation).gen)
            return
        before: set[Key] = {*self.device.outbox.rows}
        excuse(self.ghost, payload)
        self.device.on_stored(payload)
        self.ghost.confirmed |= stored_keys(payload) & (before - self.device.outbox.rows.keys())

    def _restart_device(self) -> None:
        self.device.start()
        self.connected = False
        self.broker.to_device.clear()

    def _tell_of_erasures(self, *, everything: bool = False) -> None:
        """Tell those who deleted that it is done, and the device that it shall."""
        for place, made in [*self.pending_erasures]:
            if everything or place <= self.store.synced:
                self.pending_erasures.remove((place, made))
                self.ghost.erased_before = max(self.ghost.erased_before, made)
                if self.rng.random() < 0.7:  # else ingest tells it with the next record
                    self.ingests[0].publish_generation(self.store.state.generation)


Action = Callable[[World], None]
ACTIONS: list[tuple[Action, int, float]] = [
    (World.make, 6, 1),
    (World.send, 8, 1),
    (World.send_again, 2, 1),
    (World.wait, 3, 1),
    (World.deliver, 8, 1),
    (World.write, 6, 1),
    (World.sync, 4, 1),
    (World.settle, 6, 1),
    (World.confirm, 6, 1),
    (World.hear, 6, 1),
    (World.connect, 4, 1),
    (World.save_outbox, 1, 1),
    (World.cut, 2, 0.5),
    (World.kill_device, 1, 0.5),
    (World.unplug_device, 1, 0.4),
    (World.reconnect_ingest, 2, 0.5),
    (World.kill_ingest, 1, 0.5),
    (World.lose_store, 2, 0.5),
    (World.restart_broker, 1, 0.4),
    (World.wipe_broker, 1, 0.4),
    (World.unplug_store, 1, 0.5),
    (World.erase, 2, 0.4),
    (World.pass_hours, 1, 0.3),
    (World.set_clocks, 1, 0.3),
]
"""Steps, each with its weight, and the share of the schedules in which it happens."""
BASE = 12
"""So many of them are no faults, and happen in every schedule."""


def main() -> None:
    """Run schedules and print what they did."""
    schedules = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    start_s = time.monotonic()
    steps: Counter[str] = Counter()
    fates: Counter[str] = Counter()
    bad = 0
    for seed in range(first, first + schedules):
        world = World(seed)
        try:
            steps += world.run()
        except ViolationError as error:
            bad += 1
            print(f"seed {seed}: {error}; steps: {' '.join(world.trace[-30:])}")
        fates["made"] += len(world.ghost.made)
        fates["stored"] += len(world.store.state.records)
        fates.update(why for key, why in world.ghost.excused.items() if key not in world.store.state.records)
    print(f"{schedules:,} schedules from seed {first}, {sum(steps.values()):,} steps, {bad} violations")
    print(f"{time.monotonic() - start_s:.0f} s")
    for title, counts in (("records", fates), ("steps", steps)):
        words = [f"{name.replace(chr(95), chr(32))} {count:,}" for name, count in counts.most_common()]
        print(f"{title}: {chr(44).join(words)}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
