"""Completeness: for how much of a range the store holds what a device heard, and why the rest is missing."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from broker.messages import DroppedSpan
from server.query.intervals import Interval, clip, join, join_many, without
from server.query.spans import ARRIVES_WITHIN_MS, SLACK_MS, stays
from server.query.time_range import Range
from server.store.redis_store import RedisStore
from server.store.types import BootSequences, Device, DeviceEvent, HeardSpans

Cause = Literal["dropped", "paused", "waiting", "offline", "not_yet", "unknown"]
"""dropped: by the outbox's limit; waiting: in the outbox of a connected device; not_yet: too young to be missed."""
_LONGEST_RECORD_MS = 600_000
"""Of the wire: a heard record reaches so far back."""
_MINUTE_MS = 60_000
"""A device sends a heard record each minute, so the edges of what is missing are known so well."""


class Gap(NamedTuple):
    """A stretch of which nothing is stored; Unix ms."""

    start: int
    end: int
    cause: Cause
    records: int | None
    """How many records that were made are not there; None where nobody knows whether any were made."""


class Records(NamedTuple):
    """Sequence numbers of the boots that have records in a range, each boot as a whole."""

    stored: int
    missing: int
    """Numbers below the highest one that are not stored, and dropped ones."""
    dropped: int
    """Of these, what the device had to drop."""
    more_boots: bool = False
    """Whether there are more boots, older ones, which are not counted here."""

    @property
    def expected(self) -> int:
        """How many numbers the device is known to have used."""
        return self.stored + self.missing


class Completeness(NamedTuple):
    """What of a range is stored; times in ms."""

    expected: Interval
    """The part of the range in which the device was known and records are kept, up to now."""
    stored_ms: int
    gaps: list[Gap]
    """In order; they and what is stored make up all that is expected."""
    records: Records

    @property
    def expected_ms(self) -> int:
        """How long the device should have been heard."""
        return self.expected[1] - self.expected[0]

    def by_cause(self) -> dict[Cause, tuple[int, int]]:
        """Return how many gaps each cause has, and their length in ms, the longest first."""
        found: dict[Cause, tuple[int, int]] = {}
        for gap in self.gaps:
            count, length_ms = found.get(gap.cause, (0, 0))
            found[gap.cause] = count + 1, length_ms + gap.end - gap.start
        return dict(sorted(found.items(), key=lambda item: -item[1][1]))


class Facts(NamedTuple):
    """What is known of a device around a range."""

    known_since: int
    """Unix ms; nothing of the device is expected to be older, or kept."""
    now: int
    heard: HeardSpans
    events: list[DeviceEvent]
    """The last one before the range, and those in it."""
    told: Sequence[DroppedSpan]
    """What the device says that it dropped."""
    waits_since: int | None
    """The oldest record in the outbox of a device that is connected; None if none waits, or it is away."""
    boots: Sequence[BootSequences]
    """Those with records in the range."""


def read(store: RedisStore, device: Device, asked: Range, now: int, kept_since: int) -> Completeness:
    """Return what of a range is stored, and why the rest is missing.

    Args:
        store: Keeps records and events.
        device: Whose.
        asked: The range.
        now: The store's clock, Unix ms.
        kept_since: Earlier records may have expired, Unix ms.
    """
    boots, more_boots = store.sequences(device.id, asked.start, asked.end + _LONGEST_RECORD_MS)
    health = device.health or {}
    first = min([device.first_seen, *(one.boot.first_at - _MINUTE_MS for one in boots)])
    facts = Facts(
        known_since=max(first, kept_since),
        now=now,
        heard=store.heard(device.id, asked.start, min(asked.end, now) + _LONGEST_RECORD_MS),
        events=store.events(device.id, *asked),
        told=_told(health),
        waits_since=_waits_since(device.state, health, now),
        boots=boots,
    )
    found = judge(facts, asked)
    return found._replace(records=found.records._replace(more_boots=more_boots))


def judge(facts: Facts, asked: Range) -> Completeness:
    """Return what of a range is stored, and why the rest is missing.

    Each moment that is expected is either stored or has the first of these causes: dropped, paused, waiting, offline,
    not yet, unknown.
    """
    start = min(max(asked.start, facts.known_since), asked.end)
    end = max(min(asked.end, facts.now), start)
    whole = clip([(start, end)], start, end)  # none if nothing is expected
    heard = facts.heard
    listened = join_many(heard.start[heard.windows > 0], heard.end[heard.windows > 0], SLACK_MS)
    dropped = {span: count for span in facts.told if (count := _missing(span, facts.boots))}
    drops = join((span.start, _end(span)) for span in dropped)

    missing = without(whole, without(listened, drops))
    left = without(missing, drops)
    parts: list[tuple[Interval, Cause]] = [(interval, "dropped") for interval in without(missing, left)]
    left = [(a, b) for a, b in left if b - a > SLACK_MS]
    for cause, intervals in _causes(facts, drops):
        rest = without(left, intervals)
        parts += [(interval, cause) for interval in without(left, rest)]
        left = rest
    gaps = _with_records(_smooth(sorted(parts)), dropped)
    stored_ms = end - start - sum(gap.end - gap.start for gap in gaps)
    there = {span: count for span, count in dropped.items() if _end(span) > asked.start and span.start < asked.end}
    return Completeness((start, end), stored_ms, gaps, _records(facts.boots, there))


def _causes(facts: Facts, drops: list[Interval]) -> list[tuple[Cause, list[Interval]]]:
    """Return when each cause may explain that nothing is stored, the first that does being right."""
    heard, now = facts.heard, facts.now
    said = join_many(heard.start[heard.paused], heard.end[heard.paused], SLACK_MS)
    return [
        ("dropped", join((start - _MINUTE_MS, start) for start, _ in drops)),  # of which the first one dropped told
        ("paused", join([*said, *stays(facts.events, "paused", now)])),
        ("waiting", [] if facts.waits_since is None else [(facts.waits_since - _MINUTE_MS, now)]),
        ("offline", join(stays(facts.events, "offline", now))),
        ("not_yet", [(now - ARRIVES_WITHIN_MS, now)]),
        ("unknown", [(0, now)]),
    ]


def _smooth(parts: list[tuple[Interval, Cause]]) -> list[tuple[Interval, Cause]]:
    """Return stretches in order, after joining those of one cause, and giving short unknown ones to a neighbour.

    A device that goes has not yet sent its last minute, and one that comes has not yet heard a whole one.
    """
    found: list[tuple[Interval, Cause]] = []
    for (start, end), cause in parts:
        if found and found[-1][0][1] == start:
            (since, until), before = found[-1]
            if cause == before or (cause == "unknown" and end - start <= 2 * _MINUTE_MS):
                found[-1] = (since, end), before
                continue
            if before == "unknown" and until - since <= 2 * _MINUTE_MS:
                found[-1] = (since, end), cause
                continue
        found.append(((start, end), cause))
    return found


def _with_records(parts: list[tuple[Interval, Cause]], dropped: dict[DroppedSpan, int]) -> list[Gap]:
    """Return gaps; the records of a dropped span count in the gap in which it ends."""
    gaps = []
    for (start, end), cause in parts:
        counts = [missing for span, missing in dropped.items() if cause == "dropped" and start < _end(span) <= end]
        gaps.append(Gap(start, end, cause, sum(counts) if counts else None))
    return gaps


def _end(span: DroppedSpan) -> int:
    """Return the end of a span; one of a single record is not empty."""
    return max(span.end, span.start + 1)


def _missing(span: DroppedSpan, boots: Sequence[BootSequences]) -> int:
    """Return how many of the dropped records are not stored: some may have been, and the device did not hear of it."""
    for one in boots:
        if one.boot.boot == span.boot:
            if one.more or span.first < one.known_from:
                return span.records
            holes = sum(max(min(last, span.last) - max(first, span.first) + 1, 0) for first, last in one.missing)
            return min(holes + _beyond(span, one.boot.highest), span.records)
    return span.records


def _beyond(span: DroppedSpan, highest: int) -> int:
    """Return how many numbers of a span are higher than the highest one that is stored."""
    return max(span.last - max(highest, span.first - 1), 0)


def _records(boots: Sequence[BootSequences], dropped: dict[DroppedSpan, int]) -> Records:
    """Return the sums over boots, with dropped numbers that are higher than any that is stored."""
    highest = {one.boot.boot: one.boot.highest for one in boots}
    unseen = (min(missing, _beyond(span, highest.get(span.boot, -1))) for span, missing in dropped.items())
    stored, missing = sum(one.boot.records for one in boots), sum(one.boot.missing for one in boots) + sum(unseen)
    return Records(stored, missing, min(sum(dropped.values()), missing))


def _told(health: dict[str, Any]) -> tuple[DroppedSpan, ...]:
    """Return what a device's health says that it dropped; nothing from older versions."""
    return msgspec.convert(health.get("dropped_spans", ()), tuple[DroppedSpan, ...])


def _waits_since(state: str, health: dict[str, Any], now: int) -> int | None:
    """Return the time of the oldest record that waits in the outbox of a connected device, Unix ms."""
    if state == "offline" or not health.get("outbox_rows"):
        return None
    return now - round(1000 * float(health.get("outbox_oldest_age_s", 0)))
