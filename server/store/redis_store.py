"""The store in Redis (7 or newer) or Valkey, with core data types only; `layout` and `store.lua` say how."""

import functools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from broker import messages
from server.errors import StoreAwayError, UnusableError
from server.settings import ServerSettings
from server.store import codec, keys, layout, reader, writer
from server.store.client import Error, Nodes, Sent, Word, key_of, sync, waits_for_disk
from server.store.command_queue import CommandQueue
from server.store.live_stream import LiveStream
from server.store.rollups import Resolution, Rollups, cover
from server.store.tokens import Tokens
from server.store.types import (
    Boot,
    Device,
    DeviceEvent,
    DeviceMessage,
    Fleet,
    HeardSpans,
    Outcome,
    PendingWrite,
    Readings,
    Receipt,
)

_LIBRARY = f"#!lua name=moodwire_{keys.LAYOUT_VERSION}\n" + "".join(
    Path(__file__).with_name(name).read_text() for name in ("rollups.lua", "store.lua", "commands.lua", "restore.lua")
)
_KEYS_PER_TRIP = 2000
_FEW_CHUNKS = 30
"""So many are asked for whether they are there or not, since to find that out takes as long."""
_INDEX_AGAIN_S = 60.0
"""How often the index of devices is told of a device that goes on sending."""
P = ParamSpec("P")
T = TypeVar("T")


def _reaching(
    method: Callable[Concatenate["RedisStore", P], T],
) -> Callable[Concatenate["RedisStore", P], T]:
    """Turn what the client raises into `StoreAwayError`."""

    @functools.wraps(method)
    def wrapped(self: "RedisStore", /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except Error as error:
            self._nodes.forget()
            raise StoreAwayError(f"the store at {self.place} does not answer: {error}") from error

    return wrapped


@dataclass
class RedisStore:
    """A `Store` in Redis or Valkey.

    Raises:
        UnusableError: the URL is none.
    """

    url: str
    retention_ms: int
    rollup_retention_ms: int
    place: str = field(init=False)
    """The URL without user and password, for people."""
    _nodes: Nodes = field(init=False, repr=False)
    _waits_for_disk: bool = field(init=False, default=False)
    _indexed: set[str] = field(init=False, repr=False, default_factory=set)
    _index_again_s: float = field(init=False, repr=False, default=0.0)
    _written_as: Counter[str] = field(init=False, repr=False, default_factory=Counter)
    """Outcomes of records that `heartbeat` has not yet passed on."""

    def __post_init__(self) -> None:
        """Make the client; nothing is sent yet."""
        scheme, _, rest = self.url.partition("://")
        self.place = f"{scheme}://{rest.rpartition('@')[2]}"
        try:
            self._nodes = Nodes(self.url)
        except ValueError as error:
            raise UnusableError(
                f"redis_url {self.place!r} is no address of a store: redis://host:port/0, rediss://…, "
                "cluster+redis://host:port, cluster+rediss://… or unix:///path is"
            ) from error

    def close(self) -> None:
        """Let go of all connections."""
        self._nodes.close()

    @_reaching
    def prepare(self) -> None:
        """Load the functions and check that what is confirmed is on disk."""
        for node in self._nodes.primaries():
            self._waits_for_disk = waits_for_disk(node, self.place)
        layout.mark(self._do)
        for node in self._nodes.primaries():
            node.execute_command("FUNCTION LOAD", "REPLACE", _LIBRARY)  # type: ignore[no-untyped-call]
        self._indexed.clear()

    @_reaching
    def now(self) -> int:
        """Return the store's clock, Unix ms."""
        seconds, micros = self._nodes.primaries()[0].time()
        return int(seconds) * 1000 + int(micros) // 1000

    def write(self, batch: Sequence[tuple[str, DeviceMessage]]) -> list[Outcome | None]:
        """Write (device, message) pairs and return, once they are on disk, what became of each."""
        return self.send(batch)()

    @_reaching
    def send(self, batch: Sequence[tuple[str, DeviceMessage]], beside: Sequence[Sequence[Word]] = ()) -> PendingWrite:
        """Send (device, message) pairs to be written, in one trip."""
        keep = (self.retention_ms, self.rollup_retention_ms)
        calls = writer.calls(batch, *keep, together=not self._nodes.is_cluster)
        if time.monotonic() >= self._index_again_s:
            self._indexed.clear()
            self._index_again_s = time.monotonic() + _INDEX_AGAIN_S
        fresh = {device for device, _ in batch} - self._indexed
        others = [*beside, *(("ZADD", keys.DEVICES, 0, device) for device in fresh)]
        sent = self._nodes.send([*others, *(call.words for call in calls)], wait=self._waits_for_disk)
        return lambda: self._outcomes(batch, calls, sent, len(others), fresh)

    @_reaching
    def _outcomes(
        self,
        batch: Sequence[tuple[str, DeviceMessage]],
        calls: Sequence[writer.Call],
        sent: Sent,
        others: int,
        fresh: set[str],
    ) -> list[Outcome | None]:
        """Return what became of a batch, of which so many other commands went ahead, and list its new devices."""
        replies = sent.replies()
        outcomes = writer.outcomes(calls, replies[others:], len(batch))
        for reply in replies:
            if isinstance(reply, Exception) and (not any(outcomes) or reply in replies[:others]):
                raise reply
        self._indexed |= fresh
        for (_, message), outcome in zip(batch, outcomes, strict=True):
            if outcome and isinstance(message, messages.Record):
                self._written_as[outcome.kind] += 1
        return outcomes

    @_reaching
    def sync(self) -> None:
        """Wait until all that the only thread here has asked of the store is on disk."""
        if self._waits_for_disk:  # others synchronise before each answer
            for node in self._nodes.primaries():
                sync(node)

    @_reaching
    def devices(self, after: str, limit: int) -> list[Device]:
        """Return listed devices page by page; erased ones stay in the index and are passed over."""
        found: list[Device] = []
        while len(found) < limit:
            first = f"({after}" if after else "-"
            ids = [member.decode() for member in self._do("ZRANGEBYLEX", keys.DEVICES, first, "+", "LIMIT", 0, limit)]
            if not ids:
                break
            found.extend(device for device in self._devices(ids) if device)
            after = ids[-1]
        return found[:limit]

    @_reaching
    def device(self, device: str) -> Device | None:
        """Return one listed device."""
        return self._devices([device])[0]

    @_reaching
    def boots(self, device: str) -> list[Boot]:
        """Return the boots that have records, oldest first."""
        key = keys.base(device)
        packed, generation = self._trip([("HGETALL", f"{key}:boots"), ("HGET", key, "gen")])
        return codec.unpack_boots(packed, int(generation or 0))

    @_reaching
    def first_day(self, device: str) -> int | None:
        """Return the start of the first day that holds anything, Unix ms."""
        days = self._do("ZRANGE", f"{keys.base(device)}:days", 0, 0)
        return int(days[0]) * keys.DAY_MS if days else None

    @_reaching
    def readings(self, device: str, start: int, end: int) -> list[Readings]:
        """Return readings of start <= at < end (Unix ms), one table for each schema."""
        if start >= end:
            return []
        key = keys.base(device)
        hours = self._chunks(device, keys.HOUR_MS, start, end)
        schemas, *lists = self._trip(
            [("HGETALL", f"{key}:schemas"), *(("LRANGE", f"{key}:r:{hour}", 0, -1) for hour in hours)]
        )
        return reader.readings(schemas, hours, lists, start, end)

    @_reaching
    def rollups(self, device: str, level: Resolution, start: int, end: int) -> list[Rollups]:
        """Return rollups whose slots begin in start <= at < end (Unix ms), in tables of one schema each."""
        return self._rollups(device, [(level, start, end)])

    @_reaching
    def totals(self, device: str, start: int, end: int) -> list[Rollups]:
        """Return the days, hours and minutes that make up a range of whole minutes (Unix ms)."""
        return self._rollups(device, cover(start, end))

    @_reaching
    def heard(self, device: str, start: int, end: int) -> HeardSpans:
        """Return the heard spans that end in start < end <= end (Unix ms), in order."""
        chunks = self._chunks(device, keys.HEARD_CHUNK_MS, start, end + 1)
        lists = self._trip([("LRANGE", f"{keys.base(device)}:heard:{chunk}", 0, -1) for chunk in chunks])
        spans = codec.unpack_heard(zip(chunks, lists, strict=True))
        inside = (start < spans.end) & (spans.end <= end)
        return HeardSpans(*(column[inside] for column in spans))

    @_reaching
    def events(self, device: str, start: int, end: int) -> list[DeviceEvent]:
        """Return the last event before the range and those in it, in order."""
        key = f"{keys.base(device)}:events"
        before, inside = self._trip(
            [("XREVRANGE", key, max(start - 1, 0), "-", "COUNT", 1), ("XRANGE", key, start, max(end - 1, 0))]
        )
        return [reader.event(*entry) for entry in [*before, *inside]]

    @_reaching
    def event_page(
        self, device: str, start: int, end: int, after: str, limit: int
    ) -> tuple[DeviceEvent | None, list[DeviceEvent]]:
        """Return the event before a page of events, if any, and the page: up to `limit` events in order.

        The page lies in start <= at < end (Unix ms) and follows the event with the id `after`, if one is given.
        """
        if start >= end:
            return None, []
        key = f"{keys.base(device)}:events"
        passed = bool(after) and int(after.partition("-")[0]) >= start
        first, before = (f"({after}", after) if passed else (str(start), f"({max(start, 1)}-0")
        found, last = self._trip(
            [("XRANGE", key, first, end - 1, "COUNT", limit), ("XREVRANGE", key, before, "-", "COUNT", 1)]
        )
        events = [reader.event(*entry) for entry in [*last, *found]]
        return (events[0] if last else None), events[len(last) :]

    @_reaching
    def erase(self, device: str) -> Receipt:
        """Erase everything of a device but its next generation, and queue the command that tells the device.

        If a later step fails, ingest still tells the device, when it answers the next record of the old generation.
        """
        generation, records, erased_at = self._do("FCALL", keys.function("erase"), 1, keys.base(device))
        self.live_stream.clear()
        command = self.commands.add_erasure(device, generation)
        return Receipt(device, generation, records, erased_at, command)

    @_reaching
    def generation(self, device: str) -> int:
        """Return the erase generation of a device; 0 for an unknown one."""
        return int(self._do("HGET", keys.base(device), "gen") or 0)

    @_reaching
    def heartbeat(self, lifetime_s: int, malformed: int = 0) -> None:
        """Say that ingest is there, for so long, what became of the records since, and how many could not be read."""
        counts = {kind: count for kind, count in self._written_as.items() if count}
        told = {**counts, "malformed": malformed} if malformed else counts
        self._trip(
            [
                ("SET", keys.HEARTBEAT, "1", "EX", lifetime_s),
                *(("HINCRBY", keys.WRITTEN, kind, count) for kind, count in told.items()),
            ]
        )
        self._written_as.subtract(counts)

    @_reaching
    def fleet(self) -> Fleet:
        """Return all listed devices in numbers."""
        states: Counter[str] = Counter()
        readings = 0
        ids = [member.decode() for member in self._do("ZRANGE", keys.DEVICES, 0, -1)]
        for first_seen, state, count in self._trip(
            [("HMGET", keys.base(device), "first_seen", "state", "readings") for device in ids]
        ):
            if first_seen is not None:
                states[(state or b"unknown").decode()] += 1
                readings += int(count or 0)
        return Fleet(dict(states), readings)

    @_reaching
    def outcome_counts(self) -> dict[str, int]:
        """Return how many records have ever ended as what, by the kind of their outcome."""
        return {kind.decode(): int(count) for kind, count in self._do("HGETALL", keys.WRITTEN).items()}

    @_reaching
    def is_ingest_alive(self) -> bool:
        """Return whether ingest has said lately that it is there."""
        return bool(self._do("EXISTS", keys.HEARTBEAT))

    @property
    def tokens(self) -> Tokens:
        """Who may use REST."""
        return Tokens(self.execute)

    @property
    def commands(self) -> CommandQueue:
        """What operators ask of devices."""
        return CommandQueue(self.execute_all, self.now)

    @property
    def live_stream(self) -> LiveStream:
        """What happens now, for listeners."""
        return LiveStream(self.execute_all, self.now)

    @_reaching
    def execute_all(self, commands: Sequence[tuple[Word, ...]]) -> list[Any]:
        """Send several commands and return their replies, for the same."""
        return self._trip(commands)

    @_reaching
    def execute(self, *command: Word) -> Any:
        """Send one command and return its reply, for those who keep something of their own beside the devices."""
        return self._do(*command)

    def _do(self, *command: str | int | bytes) -> Any:
        """Send one command and return its reply."""
        return self._nodes.of(key_of(command)).execute_command(*command)  # type: ignore[no-untyped-call]

    def _trip(self, commands: Sequence[tuple[str | int | bytes, ...]]) -> list[Any]:
        """Send commands in as few trips as is wise and return their replies."""
        found: list[Any] = [None] * len(commands)
        for node, places in self._nodes.divide(commands):
            for first in range(0, len(places), _KEYS_PER_TRIP):
                some = places[first : first + _KEYS_PER_TRIP]
                pipe = node.pipeline(transaction=False)
                for place in some:
                    _queue(pipe, *commands[place])
                for place, reply in zip(some, pipe.execute(), strict=True):
                    found[place] = reply
        return found

    def _devices(self, ids: list[str]) -> list[Device | None]:
        """Return each device, or None for one that is not listed."""
        commands = [("HGETALL", key) for device in ids for key in (keys.base(device), f"{keys.base(device)}:schemas")]
        found = self._trip(commands)
        return [reader.device(device, *found[2 * i : 2 * i + 2]) for i, device in enumerate(ids)]

    def _chunks(self, device: str, width_ms: int, start: int, end: int) -> list[int]:
        """Return the numbers of the chunks of a width that touch a range; of many, those of days that hold anything."""
        touched = range(start // width_ms, (end - 1) // width_ms + 1)
        if len(touched) <= _FEW_CHUNKS:
            return [*touched]
        low, high = start // keys.DAY_MS, (end - 1) // keys.DAY_MS
        reach = width_ms // keys.DAY_MS
        days = self._do("ZRANGEBYSCORE", f"{keys.base(device)}:days", low - reach, high + reach)
        if reach:
            chunks = {int(day) // reach for day in days}
        else:
            each = keys.DAY_MS // width_ms
            chunks = {chunk for day in map(int, days) for chunk in range(day * each, (day + 1) * each)}
        return sorted(chunk for chunk in chunks if chunk in touched)

    def _rollups(self, device: str, wanted: list[tuple[Resolution, int, int]]) -> list[Rollups]:
        """Return rollups of slots that begin in ranges (level, start, end), and the readings that wait to join them.

        All is read in one transaction, so a reading is in its rollups or waits, and never both.
        """
        key = keys.base(device)
        wanted = [part for part in wanted if part[1] < part[2]]
        groups = [
            reader.Group(level, group, start, end)
            for level, start, end in wanted
            for group in self._chunks(device, level.slot_ms * level.slots, start, end)
        ]
        pipe = self._nodes.of(key).pipeline(transaction=True)
        _queue(pipe, "HGETALL", f"{key}:schemas")
        _queue(pipe, "LRANGE", f"{key}:open", 0, -1)
        for group in groups:
            _queue(pipe, "HGETALL", f"{key}:{group.level.name}:{group.number}")
        schemas, waiting, *hashes = pipe.execute()
        return reader.rollups(schemas, wanted, waiting, zip(groups, hashes, strict=True))


def _queue(pipe: Any, *command: str | int | bytes) -> None:
    """Add one command to a pipeline."""
    pipe.execute_command(*command)


def open_store(settings: ServerSettings) -> RedisStore:
    """Return the store that the settings name; nothing is sent to it yet.

    Raises:
        UnusableError: the URL or a retention is not usable.
    """
    if not 0 < settings.retention_days <= settings.rollup_retention_days:
        raise UnusableError(
            f"retention_days {settings.retention_days} and rollup_retention_days {settings.rollup_retention_days} "
            "do not fit: at least 1 day, and the second no less than the first, is right"
        )
    return RedisStore(
        settings.redis_url, settings.retention_days * keys.DAY_MS, settings.rollup_retention_days * keys.DAY_MS
    )
