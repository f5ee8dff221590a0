"""When something was: the one place that decides which date a record gets, and whether it must wait for one.

A machine without a battery-backed clock starts with a wrong time and is told the right one when the network is there.
Records made before that are held, with their time by the monotonic clock, and dated from it when the clock is
synchronised. What is not held may be on its way, so its date stays as it is for ever.
"""

from typing import Literal, NamedTuple

from msgspec.structs import replace

from broker.messages import Heard, Reading, decode, encode
from device.system import clock as system
from device.system.clock import Clock

Kind = Literal["reading", "heard"]
Phase = Literal["waiting", "known", "over"]
"""Of a process: waiting for the clock's first synchronisation; it has come; or it did not come in time."""

_LAST_MS = 2**48 - 1
"""The wire knows no later time."""


class Stamp(NamedTuple):
    """The date of a new record."""

    at_ms: int
    """Unix milliseconds; of a held record only what the clock says for now."""
    synced: bool
    """Whether the clock was synchronised when it said so."""
    held_ms: int | None
    """Time by the monotonic clock, of a record that is held."""


class Held(NamedTuple):
    """A record that waits for its date."""

    kind: Kind
    payload: bytes
    at_ms: int
    held_ms: int
    kernel_boot: str
    """In which `held_ms` counts."""


class Dated(NamedTuple):
    """What a held record goes out with."""

    at_ms: int
    synced: bool
    payload: bytes


class Timestamps:
    """Dates the records of one process; the first look at the clock is when it is made.

    Args:
        wait_s: How long to wait for the clock's first synchronisation; 0: trust it as it is.
        clock: What time it is.
    """

    def __init__(self, wait_s: float, clock: Clock = system) -> None:
        self.clock = clock
        self._wait_ms = round(wait_s * 1000)
        self._over_ms = clock.monotonic_ms() + self._wait_ms
        self._known = clock.synced()

    @property
    def phase(self) -> Phase:
        """Whether the time is known by now."""
        self._known = self._known or self.clock.synced()
        if self._known:
            return "known"
        return "waiting" if self.clock.monotonic_ms() < self._over_ms else "over"

    def stamp(self, end_ms: int) -> Stamp:
        """Return the date of what ended at a moment of the monotonic clock."""
        # Asked before the time: a clock that is set in between must not make a wrong date look right.
        phase, synced = self.phase, self.clock.synced()
        return Stamp(self._unix_ms(end_ms), synced, end_ms if phase == "waiting" else None)

    def date(self, held: Held) -> Dated | None:
        """Return what a held record goes out with; None while it shall wait."""
        phase = self.phase
        if held.kernel_boot == self.clock.kernel_boot():
            if phase == "known":
                return _redated(held, self._unix_ms(held.held_ms))
            if phase == "waiting" and self.clock.monotonic_ms() - held.held_ms < self._wait_ms:
                return None
        return Dated(held.at_ms, synced=False, payload=held.payload)

    def _unix_ms(self, end_ms: int) -> int:
        now_ms = self.clock.now_ms() - (self.clock.monotonic_ms() - end_ms)
        return min(max(0, now_ms), _LAST_MS)


def _redated(held: Held, at_ms: int) -> Dated:
    if held.kind == "reading":
        payload = encode(replace(decode(held.payload, Reading), at=at_ms, clock_synced=True))
    else:
        payload = encode(replace(decode(held.payload, Heard), at=at_ms))
    return Dated(at_ms, synced=True, payload=payload)
