"""Live events: a stream in the store that ingest fills and `server live` reads.

It holds two minutes. An entry holds what one batch brought, packed. It is written together with the next batch, or
alone if there is none, because each trip to the store costs a synchronisation of its disk. The id of an event is that
of its entry, with its place in there.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import msgspec

from broker.messages import Message, Reading, Status
from server.store import keys
from server.store.codec import SCORE_UNITS
from server.store.types import ExecuteAll, Word

KEPT_MS = 120_000
"""How long a subscriber may be away and still miss nothing."""
_MOST_ENTRIES = 20_000
"""More than two minutes have. After a clock that jumped ahead all entries get one date, and none is ever too old."""
_LATE_MS = 60_000
"""A reading that arrives later than that is no live event."""
_ID = re.compile(r"([0-9]{1,15})-([0-9]{1,9})\.([0-9]{1,6})")

LiveSchema = tuple[str, tuple[str, ...]]
"""Model and labels."""
_Reading = tuple[str, int, int, bool, float, list[int]]
"""Device, number of the schema in the batch, at, whether speech, level, scores in ten-thousandths."""
_Status = tuple[str, str, str, tuple[str, ...], str]
"""Device, state, name, labels, model."""


class LiveBatch(msgspec.Struct, frozen=True, array_like=True):
    """An entry of the stream."""

    schemas: list[LiveSchema]
    readings: list[_Reading]
    statuses: list[_Status]


class Position(NamedTuple):
    """Where an event is in the stream; positions sort by time."""

    ms: int
    """By the store's clock."""
    number: int
    nth: int
    """Place in the entry."""

    @property
    def entry(self) -> str:
        """The id of its entry in the stream."""
        return f"{self.ms}-{self.number}"

    def __str__(self) -> str:
        """Return the event id that subscribers get."""
        return f"{self.entry}.{self.nth}"


class LiveEvent(NamedTuple):
    """A reading or a status that has just been stored."""

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
        execute_all: Sends commands to the store and returns their replies.
        now: Returns the store's clock, Unix ms.
    """

    def __init__(self, execute_all: ExecuteAll, now: Callable[[], int]) -> None:
        self._execute_all = execute_all
        self._now = now
        self._pending: deque[tuple[Word, ...]] = deque()  # one thread adds, another one sends

    @property
    def has_pending(self) -> bool:
        """Whether something was added that is not yet sent to the store."""
        return bool(self._pending)

    def add(self, stored: Iterable[tuple[str, Message]]) -> None:
        """Add (device, message) pairs that the store has just stored; they are sent to the stream later."""
        now = self._now()
        schemas: dict[LiveSchema, int] = {}
        readings: list[_Reading] = []
        statuses: list[_Status] = []
        for device, message in stored:
            if isinstance(message, Reading) and message.at >= now - _LATE_MS:
                schema = schemas.setdefault((message.model, tuple(message.scores)), len(schemas))
                scores = [round(score * SCORE_UNITS) for score in message.scores.values()]
                readings.append((device, schema, message.at, message.state == "speech", message.level_dbfs, scores))
            elif isinstance(message, Status):
                statuses.append((device, message.state, message.name, message.labels, message.model))
        if readings or statuses:
            packed = _encoder.encode(LiveBatch(list(schemas), readings, statuses))
            self._pending.append(("XADD", keys.LIVE, "MINID", "~", now - KEPT_MS, "*", "batch", packed))
            self._pending.append(("XTRIM", keys.LIVE, "MAXLEN", "~", _MOST_ENTRIES))
            self._pending.append(("PEXPIRE", keys.LIVE, KEPT_MS))

    def commands(self) -> list[tuple[Word, ...]]:
        """Return the commands that send what was added, once; if they fail, only subscribers miss it."""
        return [self._pending.popleft() for _ in range(len(self._pending))]

    def flush(self) -> None:
        """Send what was added."""
        if self._pending:
            self._execute_all(self.commands())

    def clear(self) -> None:
        """Remove all entries, because some are erased; subscribers who come back are told that they missed events."""
        self._execute_all([("XTRIM", keys.LIVE, "MAXLEN", 0)])

    def end(self) -> Position:
        """Return the position after all entries, and before all that follow."""
        (found,) = self._execute_all([("XREVRANGE", keys.LIVE, "+", "-", "COUNT", 1)])
        return _after_entry(found[0][0]) if found else Position(0, 0, 0)

    def start(self) -> Position | None:
        """Return the first position that is kept, or None in an empty stream."""
        (found,) = self._execute_all([("XRANGE", keys.LIVE, "-", "+", "COUNT", 1)])
        return _after_entry(found[0][0])._replace(nth=0) if found else None

    def after(self, position: Position, entries: int) -> tuple[list[LiveEvent], Position]:
        """Return the events after a position, of so many entries at most, and the position after them."""
        (found,) = self._execute_all([("XRANGE", keys.LIVE, position.entry, "+", "COUNT", entries + 1)])
        events = [event for name, fields in found for event in _events(name, fields[b"batch"])]
        end = max(position, _after_entry(found[-1][0])) if found else position
        return [event for event in events if event.position > position], end


def parse(text: str) -> Position:
    """Return the position that an event id names.

    Raises:
        ValueError: it is no event id.
    """
    match = _ID.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no event id: send the id of an event, like 1764630309530-0.2")
    ms, number, nth = map(int, match.groups())
    return Position(ms, number, nth)


def _after_entry(name: bytes) -> Position:
    """Return the position after all events of an entry."""
    ms, number = name.split(b"-")
    return Position(int(ms), int(number), 999_999)


def _events(name: bytes, packed: bytes) -> list[LiveEvent]:
    batch = _decoder.decode(packed)
    ms, number = map(int, name.split(b"-"))
    found: list[tuple[str, Literal["reading", "status"], dict[str, Any]]] = []
    for device, state, device_name, labels, model in batch.statuses:
        found.append((device, "status", {"state": state, "name": device_name, "labels": labels, "model": model}))
    for device, schema, at, speech, level_dbfs, units in batch.readings:
        model, labels = batch.schemas[schema]
        scores = {label: unit / SCORE_UNITS for label, unit in zip(labels, units, strict=True)}
        facts = {"at": at, "state": "speech" if speech else "uncertain", "scores": scores}
        found.append((device, "reading", facts | {"level_dbfs": level_dbfs, "model": model}))
    return [LiveEvent(Position(ms, number, index), *each) for index, each in enumerate(found)]
