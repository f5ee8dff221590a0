"""What happens now, for those who watch: a short stream in the store that ingest fills and `server live` reads.

It holds two minutes. An entry is what one batch brought, packed. It is written together with the next batch, or alone
if there is none, because each way to the store costs a synchronisation of its disk. An event's id is its entry's and
its place in there.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from broker.messages import Message, Reading, Status
from server.store import keys
from server.store.codec import SCORE_UNITS

KEPT_MS = 120_000
"""So long a listener may be away and goes on where it was."""
_LATE_MS = 60_000
"""Readings that come later than that are history, not news."""
_CLOCK_S = 60.0
_ID = re.compile(r"([0-9]{1,15})-([0-9]{1,9})\.([0-9]{1,6})")

Kind = tuple[str, tuple[str, ...]]
"""Model and labels."""
_Reading = tuple[str, int, int, bool, float, list[int]]
"""Device, number of the kind, at, whether speech, level, scores in ten-thousandths."""
_Status = tuple[str, str, str, tuple[str, ...], str]
"""Device, state, name, labels, model."""


class LiveBatch(msgspec.Struct, frozen=True, array_like=True):
    """An entry of the stream."""

    kinds: list[Kind]
    readings: list[_Reading]
    statuses: list[_Status]


class Position(NamedTuple):
    """Where an event stands; in order of time."""

    ms: int
    """By the store's clock."""
    number: int
    nth: int
    """In its entry."""

    @property
    def entry(self) -> str:
        """The id of its entry in the stream."""
        return f"{self.ms}-{self.number}"

    def __str__(self) -> str:
        """Return the id that listeners get."""
        return f"{self.entry}.{self.nth}"


class LiveEvent(NamedTuple):
    """One thing that has just happened."""

    position: Position
    device: str
    kind: Literal["reading", "status"]
    facts: dict[str, Any]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LiveBatch)


class LiveStream:
    """The stream in the store.

    Every method raises `StoreAwayError` when the store cannot answer.

    Args:
        ask_all: Carries out commands of the store and returns their replies.
        now: Returns the store's clock, Unix ms.
    """

    def __init__(
        self, ask_all: Callable[[Sequence[tuple[str | int | bytes, ...]]], list[Any]], now: Callable[[], int]
    ) -> None:
        self._ask_all = ask_all
        self._now = now
        self._news: deque[tuple[str | int | bytes, ...]] = deque()  # one thread notes, another one tells
        self._ahead_ms = 0
        self._ask_again_s = 0.0

    @property
    def has_pending(self) -> bool:
        """Whether something was noted that listeners have not been told."""
        return bool(self._news)

    def add(self, stored: Iterable[tuple[str, Message]]) -> None:
        """Note what devices have sent and the store did not have yet, (device, message) pairs, to be told next."""
        since = self._clock() - _LATE_MS
        kinds: dict[Kind, int] = {}
        readings: list[_Reading] = []
        statuses: list[_Status] = []
        for device, message in stored:
            if isinstance(message, Reading) and message.at >= since:
                kind = kinds.setdefault((message.model, tuple(message.scores)), len(kinds))
                scores = [round(score * SCORE_UNITS) for score in message.scores.values()]
                readings.append((device, kind, message.at, message.state == "speech", message.level_dbfs, scores))
            elif isinstance(message, Status):
                statuses.append((device, message.state, message.name, message.labels, message.model))
        if readings or statuses:
            packed = _encoder.encode(LiveBatch(list(kinds), readings, statuses))
            oldest = self._clock() - KEPT_MS
            self._news.append(("XADD", keys.LIVE, "MINID", "~", oldest, "*", "batch", packed))
            self._news.append(("PEXPIRE", keys.LIVE, KEPT_MS))

    def commands(self) -> list[tuple[str | int | bytes, ...]]:
        """Return the commands that tell what was noted, once; if they fail, listeners miss it and nobody else does."""
        return [self._news.popleft() for _ in range(len(self._news))]

    def flush(self) -> None:
        """Tell listeners what was noted."""
        if self._news:
            self._ask_all(self.commands())

    def _clock(self) -> int:
        """Return about what the store's clock says, Unix ms, without asking it each time."""
        if time.monotonic() >= self._ask_again_s:
            self._ahead_ms = self._now() - int(time.monotonic() * 1000)
            self._ask_again_s = time.monotonic() + _CLOCK_S
        return self._ahead_ms + int(time.monotonic() * 1000)

    def clear(self) -> None:
        """Forget everything that is kept, because some of it has been erased; listeners who come again are told."""
        self._ask_all([("XTRIM", keys.LIVE, "MAXLEN", 0)])

    def end(self) -> Position:
        """Return a place behind everything that is there, and before all that comes."""
        (found,) = self._ask_all([("XREVRANGE", keys.LIVE, "+", "-", "COUNT", 1)])
        return _behind(found[0][0]) if found else Position(0, 0, 0)

    def start(self) -> Position | None:
        """Return the first place that is kept, or None if nothing is."""
        (found,) = self._ask_all([("XRANGE", keys.LIVE, "-", "+", "COUNT", 1)])
        return _behind(found[0][0])._replace(nth=0) if found else None

    def after(self, position: Position, entries: int) -> tuple[list[LiveEvent], Position]:
        """Return the events after a position, of so many entries at most, and the position after them."""
        (found,) = self._ask_all([("XRANGE", keys.LIVE, position.entry, "+", "COUNT", entries + 1)])
        events = [event for name, fields in found for event in _events(name, fields[b"batch"])]
        behind = max(position, _behind(found[-1][0])) if found else position
        return [event for event in events if event.position > position], behind


def parse(text: str) -> Position:
    """Return the place that an id names.

    Raises:
        ValueError: it is no id of an event.
    """
    match = _ID.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no id of an event: one like 1764630309530-0.2, as events have it, is right")
    ms, number, nth = map(int, match.groups())
    return Position(ms, number, nth)


def _behind(name: bytes) -> Position:
    """Return the place behind all events of an entry."""
    ms, number = name.split(b"-")
    return Position(int(ms), int(number), 999_999)


def _events(name: bytes, packed: bytes) -> list[LiveEvent]:
    batch = _decoder.decode(packed)
    ms, number = map(int, name.split(b"-"))
    told: list[tuple[str, Literal["reading", "status"], dict[str, Any]]] = []
    for device, state, called, labels, model in batch.statuses:
        told.append((device, "status", {"state": state, "name": called, "labels": labels, "model": model}))
    for device, kind, at, speech, level_dbfs, units in batch.readings:
        model, labels = batch.kinds[kind]
        scores = {label: unit / SCORE_UNITS for label, unit in zip(labels, units, strict=True)}
        facts = {"at": at, "state": "speech" if speech else "uncertain", "scores": scores}
        told.append((device, "reading", facts | {"level_dbfs": level_dbfs, "model": model}))
    return [LiveEvent(Position(ms, number, index), *each) for index, each in enumerate(told)]
