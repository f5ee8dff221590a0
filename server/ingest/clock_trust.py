"""Whether the clocks can be believed: the store's decides what is too old, so it must agree with others.

A wrong clock would call good records expired, which devices then forget. So it is compared with the clock of ingest and
with those of devices that are synchronised. All clocks are compared as what they show beyond the steady clock, which
nobody sets; so what devices said before a clock was set still counts after it.
"""

import statistics
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from broker.messages import Health, Heard, Reading
from server.store.types import DeviceMessage

_MOST_APART_S = 60.0
"""Between the clocks of store and ingest."""
_MOST_AHEAD_S = 300.0
"""By which a device may be ahead; the store takes so much too."""
_FRESH_S = 3_600.0
"""A device whose newest record is not older agrees with the clock."""
_MOST_BEHIND_S = 86_400.0
"""A device whose newest record is older disagrees, if it had the time to send a newer one."""
_SETTLED_S = 120.0
"""In which a device that listens sends a record of the present, however long its backlog is."""
_LASTING_S = 600.0
"""How long what a device said counts."""
_MOST_DEVICES = 20_000
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, where there is such a clock (Linux)."""


def steady_s() -> float:
    """Return the steady clock in seconds."""
    return time.clock_gettime(_STEADY)


class Clocks(NamedTuple):
    """What store and ingest show, in seconds since 1970, and the steady clock."""

    store_s: float
    own_s: float
    steady_s: float


class Sighting(NamedTuple):
    """The clock of a synchronised device, by the dates of its records, less the steady clock at their arrival."""

    newest_s: float
    """Of the record with the latest date."""
    last_s: float
    """Of the record that came last."""
    since_s: float
    """Steady clock at the device's first record in a row."""
    at_s: float
    """Steady clock at its last record."""


def sighted(before: Sighting | None, dates_s: Sequence[float], now_s: float) -> Sighting:
    """Return a device's sighting after records with these dates, which arrive now on the steady clock."""
    newest_s, last_s = max(dates_s) - now_s, dates_s[-1] - now_s
    if before is None or now_s - before.at_s > _LASTING_S:
        return Sighting(newest_s, last_s, now_s, now_s)
    return Sighting(max(newest_s, before.newest_s), last_s, before.since_s, now_s)


def doubt(clocks: Clocks, sightings: Iterable[Sighting]) -> str:
    """Return why the store's clock cannot be believed, in one sentence without its end; empty if it can."""
    apart_s = clocks.store_s - clocks.own_s
    if abs(apart_s) > _MOST_APART_S:
        return f"the clock of the store shows {_text(clocks.store_s)}, that of ingest {_text(clocks.own_s)}: set them"
    lasting = _lasting(clocks, sightings)
    now_s = clocks.store_s - clocks.steady_s
    ahead = [one.last_s - now_s for one in lasting if one.last_s - now_s > _MOST_AHEAD_S]
    behind = [
        one.newest_s - now_s
        for one in lasting
        if one.newest_s - now_s < -_MOST_BEHIND_S and clocks.steady_s - one.since_s > _SETTLED_S
    ]
    for group, word in ((ahead, "ahead of"), (behind, "behind")):
        if 2 * len(group) > len(lasting):
            share, by_s = f"{len(group)} of {len(lasting)}", abs(statistics.median(group))
            return (
                f"the clock of the server shows {_text(clocks.store_s)}, and {share} synchronised devices are "
                f"{by_s:.0f} s {word} it: set it"
            )
    return ""


def is_vouched_for(clocks: Clocks, sightings: Iterable[Sighting]) -> bool:
    """Return whether a record may be called too old: at least half of the synchronised devices agree with the clock."""
    if doubt(clocks, sightings := list(sightings)):
        return False
    return devices_agree(clocks, sightings) is not False


def devices_agree(clocks: Clocks, sightings: Iterable[Sighting]) -> bool | None:
    """Return whether at least half of the synchronised devices agree with the store's clock; None if there are none."""
    lasting = _lasting(clocks, sightings)
    now_s = clocks.store_s - clocks.steady_s
    agree = sum(-_FRESH_S <= one.newest_s - now_s <= _MOST_AHEAD_S for one in lasting)
    return 2 * agree >= len(lasting) if lasting else None


def _lasting(clocks: Clocks, sightings: Iterable[Sighting]) -> list[Sighting]:
    return [one for one in sightings if clocks.steady_s - one.at_s <= _LASTING_S]


def _text(time_s: float) -> str:
    """Return a time for people; a clock may show any."""
    try:
        return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{time_s:.0f} s since 1970"


class ClockWatch:
    """The clocks as they were seen last."""

    def __init__(self) -> None:
        self._store_beyond_s: float | None = None
        self._sightings: dict[str, Sighting] = {}
        self._synced_boots: dict[str, str] = {}

    def measure(self, store_ms: int) -> None:
        """Take the store's clock, read just now."""
        self._store_beyond_s = store_ms / 1000 - steady_s()

    def note(self, device: str, records: Sequence[DeviceMessage]) -> None:
        """Take the clock of a device from what it sends, if it says that it is synchronised."""
        last = records[-1]
        if isinstance(last, (Reading, Health)):
            if not last.clock_synced:
                self._synced_boots.pop(device, None)
                return
            if len(self._synced_boots) >= _MOST_DEVICES:  # the broker lets an account speak as one device only
                self._synced_boots.clear()
                self._sightings.clear()
            self._synced_boots[device] = last.boot
        if isinstance(last, (Reading, Heard)) and self._synced_boots.get(device) == last.boot:
            dates_s = [one.at / 1000 for one in records if isinstance(one, (Reading, Heard))]
            self._sightings[device] = sighted(self._sightings.get(device), dates_s, steady_s())

    def doubt(self) -> str:
        """Return why the store's clock cannot be believed; empty if it can, or before the first measurement."""
        return "" if self._store_beyond_s is None else doubt(self._clocks(), self._sightings.copy().values())

    def is_vouched_for(self) -> bool:
        """Return whether a record may be called too old."""
        return self._store_beyond_s is not None and is_vouched_for(self._clocks(), self._sightings.copy().values())

    def devices_agree(self) -> bool | None:
        """Return whether synchronised devices agree with the store's clock; None if there are none."""
        return devices_agree(self._clocks(), self._sightings.copy().values())

    def _clocks(self) -> Clocks:
        now_s = steady_s()
        return Clocks((self._store_beyond_s or 0.0) + now_s, time.time(), now_s)
