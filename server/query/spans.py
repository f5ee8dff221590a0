"""Spans: stretches of time without a clear emotion, and why."""

from typing import Literal, NamedTuple

from server.query.intervals import Interval, clip, join, join_many, without
from server.query.time_range import Range
from server.store.redis_store import RedisStore
from server.store.types import DeviceEvent, HeardSpans

SpanKind = Literal["silence", "uncertain", "paused", "offline", "missing"]
SLACK_MS = 1000
"""Heard records follow each other by the device's clock, which may be corrected a little between two."""
_UNHEARD_MS = 150_000
"""A device sends a heard record each minute; after so long without one, a record is missing, not late."""
ARRIVES_WITHIN_MS = 180_000
"""Younger records may still arrive."""


class Evidence(NamedTuple):
    """Steps that hold readings, as intervals in Unix ms."""

    since: int
    """Unix ms; earlier records may have expired."""
    readings: list[Interval]
    uncertain: list[Interval]
    """Steps in which most readings were uncertain."""


class Span(NamedTuple):
    """One span; Unix ms."""

    kind: SpanKind
    start: int
    end: int


def spans(store: RedisStore, device: str, inside: Range, now: int, evidence: Evidence | None = None) -> list[Span]:
    """Return when nothing was said and why, in order of time.

    Args:
        store: Keeps heard records and events.
        device: Device id.
        inside: Where to look.
        now: The store's clock, Unix ms.
        evidence: Steps with readings; without it there are no spans `uncertain` and `missing`.
    """
    return explain(store.heard(device, *inside), store.events(device, *inside), inside, now, evidence)


def stays(events: list[DeviceEvent], state: str, now: int) -> list[Interval]:
    """Return when a device was in a state, by events that follow each other."""
    ends = [*(event.at for event in events[1:]), now]  # without events, one end too many
    return [(event.at, end) for event, end in zip(events, ends, strict=False) if event.state == state]


def explain(
    heard: HeardSpans, events: list[DeviceEvent], inside: Range, now: int, evidence: Evidence | None = None
) -> list[Span]:
    """Return the spans, as `spans` does, of a device whose heard records and events have been read."""
    listening = heard.windows > 0
    listened = join_many(heard.start[listening], heard.end[listening], SLACK_MS)
    silent = listening & (heard.silent >= heard.windows)
    states = {state: stays(events, state, now) for state in ("online", "offline", "paused")}
    paused = join_many(heard.start[heard.paused], heard.end[heard.paused], SLACK_MS)
    kinds: dict[SpanKind, list[Interval]] = {
        "silence": join_many(heard.start[silent], heard.end[silent], SLACK_MS),
        # What a device says of a minute without a connection arrives later, and says more than its last state.
        "paused": join([*states["paused"], *paused]),
        # What a device heard without a connection arrived later.
        "offline": without(states["offline"], join([*listened, *paused])),
    }
    if evidence:
        kinds["uncertain"] = evidence.uncertain
        judged = clip(states["online"], evidence.since, now - ARRIVES_WITHIN_MS)
        absent = without(clip(judged, *inside), join([*listened, *paused, *evidence.readings]))
        kinds["missing"] = [(start, end) for start, end in absent if end - start >= _UNHEARD_MS]
    return sorted(
        (Span(kind, start, end) for kind, intervals in kinds.items() for start, end in clip(intervals, *inside)),
        key=lambda span: span.start,
    )
