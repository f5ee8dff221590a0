"""Times, ranges and steps as a request asks for them."""

import math
import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import NamedTuple

from common import text
from server.errors import ProblemError
from server.store import keys, rollups

MOST_POINTS = 1000
HOUR_MS = 3_600_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_S = 253_402_300_800
"""The end of the year 9999."""
_SECONDS = re.compile(r"[ +-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][ +-]?[0-9]+)?", re.ASCII)
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(\.[0-9]+)?)?"
    # A query turns a plus into a space, so a space before an offset was a plus.
    r"(?:([Zz])|([ +-])([01][0-9]|2[0-3]):([0-5][0-9]))?"
)
_LEAP_SECOND, _DAY_S = 60, 86_400
_UNITS_MS = {"s": 1000, "m": 60_000, "h": HOUR_MS, "d": keys.DAY_MS}
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400)
"""Steps that are picked where none is asked for."""
_LONGEST_STEP_MS = 366 * keys.DAY_MS
_TIME_FORMS = "use RFC 3339 like 2026-01-31T12:00:00Z, or Unix seconds"
_STEP_FORMS = "use a whole number with s, m, h or d, like 10s or 1m"


class Range(NamedTuple):
    """From start to end, Unix ms; the end is not included."""

    start: int
    end: int


def rfc3339(at: int) -> str:
    """Return Unix ms as `2026-01-31T12:00:00.000Z`."""
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_range(start: str, end: str, default: Range) -> Range:
    """Return the asked range; an empty start or end comes from the default, whose length is kept.

    An end more than a day after the default one, as the end of a year to come, means the default one.

    Raises:
        ProblemError: 400, a time is not usable, or the range is empty.
    """
    until = parse_time("end", end) if end else default.end
    if until > default.end + keys.DAY_MS:
        until = default.end
    length_ms = default.end - default.start
    since = parse_time("start", start) if start else max(min(default.start, until - length_ms), 0)
    if since >= until:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"start {rfc3339(since)} is not before end {rfc3339(until)}: ask for an earlier start",
        )
    return Range(since, until)


def parse_time(name: str, given: str) -> int:
    """Return a time, given as RFC 3339 or Unix seconds, as Unix ms.

    Seconds may be left out; a space may stand for T, and for the plus of an offset. A leap second is the second after
    it, as in POSIX.

    Raises:
        ProblemError: 400, it is neither.
    """
    seconds = float(given.replace(" ", "")) if _SECONDS.fullmatch(given) else _from_rfc3339(name, given)
    if not 0 <= seconds < _LAST_S:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, f"{name} {text.quote(given)} is not between 1970 and the year 9999: {_TIME_FORMS}"
        )
    return round(seconds * 1000)


def _from_rfc3339(name: str, given: str) -> float:
    """Return Unix seconds; Python's own parser knows neither the leap second nor the space in place of a plus."""
    match = _RFC3339.fullmatch(given)
    date, minute, second, fraction, zulu, sign, hours, minutes = match.groups() if match else [""] * 8
    try:
        time = datetime.fromisoformat(f"{date}T{minute}:00+00:00")
    except ValueError as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, f"{name} {text.quote(given)} is not a time: {_TIME_FORMS}"
        ) from error
    if not zulu and not sign:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"{name} {text.quote(given)} has no time zone: {_TIME_FORMS}")
    offset_s = 60 * (60 * int(hours) + int(minutes)) if sign else 0
    minute_s = (time - _EPOCH).total_seconds() - (-offset_s if sign == "-" else offset_s)
    second_s = int(second or 0)
    if second_s > _LEAP_SECOND or (second_s == _LEAP_SECOND and (minute_s + _LEAP_SECOND) % _DAY_S):
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"{name} {text.quote(given)} has second {second}: only the last minute of a day in UTC has a second 60",
        )
    return minute_s + second_s + float(fraction or 0)


def parse_step(given: str, asked: Range, *, raw_is_kept: bool, picked_points: int = MOST_POINTS) -> int:
    """Return the step in ms: the asked one, or the finest handy one that keeps the points few.

    Args:
        given: Like `10s`; empty to let the server pick.
        asked: What the steps divide.
        raw_is_kept: Whether single readings are kept for all of it; else no step below a minute is picked.
        picked_points: Most points when the server picks.

    Raises:
        ProblemError: 400, it is no step, is longer than 366 days, or makes more than 1000 points.
    """
    if not given:
        return _finest(asked, 1000 if raw_is_kept else rollups.MINUTE.slot_ms, picked_points)
    match = re.fullmatch(r"0*([1-9][0-9]*)([smhd])", given)
    if match is None:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"step {text.quote(given)} is not a step: {_STEP_FORMS}")
    step = int(match[1][:10]) * _UNITS_MS[match[2]]
    if step > _LONGEST_STEP_MS:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, f"step {text.quote(given)} is longer than 366 days: use 366d or less"
        )
    if step > rollups.MINUTE.slot_ms and step % rollups.MINUTE.slot_ms:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"step {text.quote(given)} is more than a minute but not whole minutes: use whole minutes",
        )
    if points(asked, step) > MOST_POINTS:
        finest = _finest(asked, 1000, MOST_POINTS)
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"step {text.quote(given)} would make {points(asked, step)} points of this range, and {MOST_POINTS} are "
            f"the most: use {finest // 1000}s or more",
        )
    return step


def points(asked: Range, step_ms: int) -> int:
    """Return how many steps a range touches."""
    return -(-asked.end // step_ms) - asked.start // step_ms


def resolution(step_ms: int) -> rollups.Resolution | None:
    """Return the resolution of rollups that make up a step, or None if it takes single readings."""
    if step_ms < rollups.MINUTE.slot_ms:
        return None
    return next(kind for kind in (rollups.DAY, rollups.HOUR, rollups.MINUTE) if step_ms % kind.slot_ms == 0)


def widen(asked: Range, slot_ms: int) -> Range:
    """Return the asked range, widened to whole slots."""
    return Range(asked.start // slot_ms * slot_ms, -(-asked.end // slot_ms) * slot_ms)


def _finest(asked: Range, least_ms: int, most: int) -> int:
    """Return the finest handy step of at least so many ms that keeps the points few."""
    for seconds in STEPS_S:
        if seconds * 1000 >= least_ms and points(asked, seconds * 1000) <= most:
            return seconds * 1000
    # One more day than the quotient, because a range may touch a day at each end.
    return math.ceil((asked.end - asked.start) / keys.DAY_MS / (most - 1)) * keys.DAY_MS
