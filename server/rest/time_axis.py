"""A time axis in a time zone: where its ticks are, and what they say, also in the night when the clocks change.

matplotlib's own locators count in local time, which a night with a change has twice or not at all. These ticks are
instants, and a time that the clock shows twice names its zone.
"""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

from server.query.time_range import Range
from server.store.keys import DAY_MS

_MOST = 9
"""Ticks on a plot of the usual width, since more of them touch each other."""
_MINUTE_MS = 60_000
_QUARTER_MS = 15 * _MINUTE_MS
"""Every offset from UTC is a multiple of this."""
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
_DAYS = (1, 2, 4, 7, 14)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200)
_SAMPLES = 200
"""Times of a range whose zone is looked at; they see every change in ranges of up to some decades."""


class Tick(NamedTuple):
    """One tick."""

    at: int
    """Unix ms."""
    label: str


def ticks(inside: Range, zone: tzinfo, most: int = _MOST) -> list[Tick]:
    """Return the ticks of a range, about so many at most, at round local times."""
    length_ms = inside.end - inside.start
    for step_s in _STEPS_S:
        if length_ms <= most * step_s * 1000:
            return _times(inside, zone, step_s * 1000)
    for days in _DAYS:
        if length_ms <= most * days * DAY_MS:
            return [Tick(at, day_name(day)) for day, at in _midnights(inside, zone) if day.toordinal() % days == 0]
    months = next((each for each in _MONTHS if length_ms <= most * each * 30 * DAY_MS), _MONTHS[-1])
    return [
        Tick(at, f"{day:%b %Y}" if months % 12 else f"{day:%Y}")
        for day, at in _midnights(inside, zone)
        if day.day == 1 and (12 * day.year + day.month - 1) % months == 0
    ]


def zone_names(inside: Range, zone: tzinfo) -> str:
    """Return what the zone is called in a range: `CET`, or `CEST and CET` where the clocks change in it."""
    times = [inside.start + (inside.end - inside.start) * place // _SAMPLES for place in range(_SAMPLES + 1)]
    return " and ".join(dict.fromkeys(zone_name(at, zone) for at in times))


def zone_name(at: int, zone: tzinfo) -> str:
    """Return what the zone is called at a time (Unix ms)."""
    return local(at, zone).tzname() or "UTC"


def local(at: int, zone: tzinfo) -> datetime:
    """Return a time (Unix ms) in a zone."""
    return datetime.fromtimestamp(at / 1000, zone)


def day_name(day: date) -> str:
    """Return a day without its year: `25 Oct`."""
    return f"{day.day} {day:%b}"


def _times(inside: Range, zone: tzinfo, step_ms: int) -> list[Tick]:
    """Return ticks within days: each time whose local clock shows whole steps."""
    grain_ms = math.gcd(step_ms, _QUARTER_MS)
    first = -(-inside.start // grain_ms) * grain_ms
    found = [(at, local(at, zone)) for at in range(first, inside.end + 1, grain_ms)]
    found = [(at, time) for at, time in found if (at + _offset_ms(time)) % step_ms == 0]
    changes = len({time.utcoffset() for _, time in found}) > 1
    marked = []
    before = None
    for at, time in found:
        label = f"{time:%H:%M:%S}" if step_ms < _MINUTE_MS else f"{time:%H:%M}"
        if (time.hour, time.minute, time.second) == (0, 0, 0):
            label = day_name(time)
        if changes and (before != time.utcoffset() or _is_repeated(time)):
            label += f"\n{time.tzname()}"
        before = time.utcoffset()
        marked.append(Tick(at, label))
    return marked


def _midnights(inside: Range, zone: tzinfo) -> Iterator[tuple[date, int]]:
    """Yield the days that begin in a range, with the Unix ms of their beginning."""
    day = local(inside.start, zone).date()
    while True:
        begin = datetime(day.year, day.month, day.day, tzinfo=zone)
        at = round((begin - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
        if at > inside.end:
            return
        if at >= inside.start:
            yield day, at
        day += timedelta(days=1)


def _offset_ms(time: datetime) -> int:
    offset = time.utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1000)


def _is_repeated(time: datetime) -> bool:
    """Return whether the clock shows this time twice, before and after it goes back."""
    return time.utcoffset() != time.replace(fold=1 - time.fold).utcoffset()
