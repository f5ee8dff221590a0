"""The store of the model, and what only the one who watches it knows."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from broker.messages import Reading
from server.store.types import Outcome

HOUR_MS = 3_600_000
START_MS = 1_000 * 24 * HOUR_MS
KEEP_MS = 20 * HOUR_MS
AHEAD_MS = 300_000
BITMAP_MS = 2 * 24 * HOUR_MS
"""How much longer than its records a boot's bitmap is kept, at least one day of it."""

Key = tuple[str, int]


class ViolationError(AssertionError):
    """Something that must hold does not; the text says what."""


@dataclass
class Ghost:
    """What nobody in the system knows: what was made, in which order, and what became of it."""

    made: dict[Key, int] = field(default_factory=dict)
    """Records by the order in which they were made."""
    excused: dict[Key, str] = field(default_factory=dict)
    """Records that need not be stored, with the reason."""
    confirmed: set[Key] = field(default_factory=set)
    """Records that the device has deleted because they are stored."""
    erased_before: int = 0
    """Records made before this one were deleted by somebody who was told so."""
    heard: int = 0
    """The latest generation that the device was told."""
    now_ms: int = START_MS


class StoreState(NamedTuple):
    """What a store holds after each change; small, and never changed in place."""

    generation: int = 0
    records: frozenset[Key] = frozenset()
    seen: frozenset[Key] = frozenset()
    last_at: tuple[tuple[str, int], ...] = ()
    """Of each boot, for the expiry of its bitmap."""
    ever: frozenset[Key] = frozenset()
    """Ghost: all records that were ever written into what this state has come from."""
    erased: frozenset[Key] = frozenset()
    """Ghost: those of them that were erased, whether or not anybody was told so."""


class StoreModel:
    """A store with a log; all changes up to the last sync survive a loss of power, and none, some or all after it."""

    def __init__(self, ghost: Ghost) -> None:
        self.ghost = ghost
        self.states = [StoreState()]
        """The state at the last sync, and after each change since then."""
        self.written = 0
        self.synced = 0
        self.skew_ms = 0

    @property
    def state(self) -> StoreState:
        """What it holds now."""
        return self.states[-1]

    def change(self, state: StoreState) -> int:
        """Take a change, and return its place in the log."""
        self.states.append(state)
        self.written += 1
        return self.written

    def now_ms(self) -> int:
        """Return the time of its clock."""
        return self.ghost.now_ms + self.skew_ms

    def write(self, records: Iterable[Reading]) -> tuple[list[Outcome], int]:
        """Write a batch in one atomic change, as `store.lua` does; return the outcomes and the place in the log."""
        outcomes = []
        state = self._expire(self.state)
        for record in records:
            kind, state = self._take(state, record)
            outcomes.append(kind)
        return outcomes, self.change(state)

    def _take(self, state: StoreState, record: Reading) -> tuple[Outcome, StoreState]:
        key, now = (record.boot, record.seq), self.now_ms()
        if record.gen < state.generation:
            return Outcome("erased"), state
        if record.at < now - KEEP_MS:
            return Outcome("expired"), state
        if record.at > now + AHEAD_MS:
            return Outcome("refused", "ahead"), state
        if self.is_seen(state, key):
            return Outcome("repeat"), state
        return Outcome("stored"), self.append(state, record)

    def is_seen(self, state: StoreState, key: Key) -> bool:
        """Return whether the bit of a record is set."""
        return key in state.seen

    def append(self, state: StoreState, record: Reading) -> StoreState:
        """Return the state with one more record."""
        key = (record.boot, record.seq)
        if self.ghost.made[key] < self.ghost.erased_before:
            raise ViolationError(f"{key} was erased and comes back")
        if key in state.ever:
            raise ViolationError(f"{key} is stored twice")
        latest = dict(state.last_at)
        latest[record.boot] = max(latest.get(record.boot, 0), record.at)
        return StoreState(
            max(state.generation, record.gen),
            state.records | {key},
            state.seen | {key},
            tuple(latest.items()),
            state.ever | {key},
            state.erased,
        )

    def erase(self) -> int:
        """Erase the device and return the place in the log."""
        state = self.state
        return self.change(StoreState(state.generation + 1, ever=state.ever, erased=state.erased | state.records))

    def _expire(self, state: StoreState) -> StoreState:
        """Forget the bitmaps of boots whose records are all too old to be taken again."""
        gone = {boot for boot, at in state.last_at if at + KEEP_MS + BITMAP_MS <= self.now_ms()}
        if not gone:
            return state
        return state._replace(
            seen=frozenset(key for key in state.seen if key[0] not in gone),
            last_at=tuple(item for item in state.last_at if item[0] not in gone),
        )

    def sync(self) -> None:
        """Write the log to the disk."""
        self.states = [self.state]
        self.synced = self.written

    def lose_power(self, rng: random.Random) -> None:
        """Go on with what is on disk: all up to the last sync, and perhaps some of what came after it."""
        kept = rng.randrange(len(self.states))
        self.states = [self.states[kept]]
        self.written = self.synced = self.synced + kept
