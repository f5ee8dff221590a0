"""What many devices have sent lately, read in a few trips to the store."""

from collections.abc import Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from server.store import codec, keys, reader
from server.store.redis_store import RedisStore
from server.store.rollups import MINUTE, Rollups
from server.store.types import DeviceEvent, HeardSpans, Word


class Recent(NamedTuple):
    """One device over a short range."""

    rollups: list[Rollups]
    """Minutes, in tables of one schema each."""
    heard: HeardSpans
    events: list[DeviceEvent]
    """The last one before the range and those in it, in order."""


def read(store: RedisStore, devices: Sequence[str], start: int, end: int) -> list[Recent]:
    """Return minutes, heard records and events of start <= at < end (Unix ms) for each device.

    All of a range's keys are asked for, whether they exist or not: keep it under a day or two.

    Raises:
        StoreAwayError: the store does not answer.
    """
    asked = _Asked(start, end)
    commands = [asked.about(device) for device in devices]
    replies = iter(store.execute_all(list(chain.from_iterable(commands))))
    return [
        asked.understand(store, device, list(islice(replies, len(some))))
        for device, some in zip(devices, commands, strict=True)
    ]


class _Asked:
    """What is asked about each device, and what the replies mean."""

    def __init__(self, start: int, end: int) -> None:
        self._start, self._end = start, end
        self._hours = _touched(keys.HOUR_MS, start, end)
        self._chunks = _touched(keys.HEARD_CHUNK_MS, start, end + 1)

    def about(self, device: str) -> list[Sequence[Word]]:
        """Return the commands about one device."""
        open_, events = ("LRANGE", keys.open_readings(device), 0, -1), keys.events(device)
        return [
            ("HGETALL", keys.schemas(device)),
            ("XREVRANGE", events, max(self._start - 1, 0), "-", "COUNT", 1),
            ("XRANGE", events, self._start, max(self._end - 1, 0)),
            open_,
            *(("HGETALL", keys.rollups(device, MINUTE.name, hour)) for hour in self._hours),
            open_,
            *(("LRANGE", keys.heard(device, chunk), 0, -1) for chunk in self._chunks),
        ]

    def understand(self, store: RedisStore, device: str, replies: list[Any]) -> Recent:
        """Return what the replies about one device tell."""
        start, end, count = self._start, self._end, len(self._hours)
        schemas, before, events, open_, *rest = replies
        hashes, open_after, lists = rest[:count], rest[count], rest[count + 1 :]
        if open_after[: len(open_)] == open_:
            groups = (reader.Group(MINUTE, hour, start, end) for hour in self._hours)
            rolled = reader.rollups(schemas, [(MINUTE, start, end)], open_, zip(groups, hashes, strict=True))
        else:  # meanwhile they were added to the minutes, so some may be in both or in neither: read both at once
            rolled = store.rollups(device, MINUTE, start, end)
        heard = codec.unpack_heard(zip(self._chunks, lists, strict=True))
        is_inside = (start < heard.end) & (heard.end <= end)
        return Recent(
            rolled,
            HeardSpans._make(column[is_inside] for column in heard),
            [reader.event(*entry) for entry in [*before, *events]],
        )


def _touched(width_ms: int, start: int, end: int) -> list[int]:
    return list(range(start // width_ms, (end - 1) // width_ms + 1))
