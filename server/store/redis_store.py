"""The store in Redis (7 or newer) or Valkey, with core data types only; `keys` lists what is kept where."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from broker import messages
from server.errors import UnusableError
from server.settings import ServerSettings
from server.store import codec, keys, layout, limits, reader, rewriting, sequences, writer
from server.store.alert_states import AlertStates
from server.store.client import Client
from server.store.clock import StoreClock
from server.store.command_queue import CommandQueue
from server.store.live_stream import LiveStream
from server.store.retention import Retention, horizon
from server.store.rollups import Resolution, Rollups, cover
from server.store.tokens import Tokens
from server.store.types import (
    Boot,
    BootSequences,
    Clock,
    Device,
    DeviceEvent,
    DeviceMessage,
    Fleet,
    HeardSpans,
    IngestState,
    Outcome,
    PendingWrite,
    Readings,
    Receipt,
    Word,
)

log = logging.getLogger(__name__)

_ANY_CLOCK = Clock()
_LIBRARY = f"#!lua name={keys.library()}\n{limits.in_lua()}" + "".join(
    Path(__file__).with_name(f"{name}.lua").read_text() for name in ("rollups", "store", "commands", "restore", "sweep")
)
_ingest_state = msgspec.json.Decoder(IngestState)
_FEW_CHUNKS = 30
"""Up to this count, read chunks without checking that they exist."""
_INDEX_AGAIN_S = 60.0
"""How often a device that goes on sending is added to the index of devices again."""


class RedisStore:
    """Everything that is kept of the devices, and what goes with it: tokens, commands and live events.

    Every method raises `StoreAwayError` when the store cannot answer.

    Args:
        url: `redis_url` of the settings.
        retention_ms: How long records are kept.
        rollup_retention_ms: How long rollups are kept.

    Raises:
        UnusableError: the URL is not usable.
    """

    def __init__(self, url: str, retention_ms: int, rollup_retention_ms: int) -> None:
        self.retention_ms = retention_ms
        self.rollup_retention_ms = rollup_retention_ms
        self._client = Client(url)
        self._clock = StoreClock(self._client.now)
        self.place = self._client.place
        """The URL for people, without what is secret in it."""
        self._indexed: set[str] = set()
        self._index_again_s = 0.0
        self._outcome_counts: Counter[str] = Counter()
        """Outcomes of records that `heartbeat` has not yet passed on."""

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def prepare(self) -> None:
        """Load the functions, and check that the store has our layout and keeps what it confirms.

        Raises:
            UnusableError: it does not.
        """
        self._client.require_durability()
        layout.mark(self.execute)
        self._client.load_functions(keys.library(), _LIBRARY, outdated=keys.library(keys.LAYOUT_VERSION - 1))
        self._indexed.clear()

    def now(self) -> int:
        """Return the store's clock, Unix ms."""
        return self._clock.now()

    def recent_now(self) -> int:
        """Return the store's clock, Unix ms, as it goes on from when it was read in the last second."""
        return self._clock.recent_now()

    def write(self, batch: Sequence[tuple[str, DeviceMessage]]) -> list[Outcome | None]:
        """Write (device, message) pairs and return, once they are on disk, what became of each."""
        return self.send(batch)()

    def send(
        self,
        batch: Sequence[tuple[str, DeviceMessage]],
        beside: Sequence[Sequence[Word]] = (),
        clock: Clock = _ANY_CLOCK,
    ) -> PendingWrite:
        """Send (device, message) pairs to be written, in one trip.

        A batch may overtake another one that is not yet answered.

        Args:
            batch: What devices have sent.
            beside: Commands that go the same way and cost no synchronisation of their own.
            clock: What the caller knows of the time.
        """
        calls = writer.calls(batch, self.retention_ms, clock, together=not self._client.is_cluster)
        if time.monotonic() >= self._index_again_s:
            self._indexed.clear()
            self._index_again_s = time.monotonic() + _INDEX_AGAIN_S
        fresh = {device for device, _ in batch} - self._indexed
        others = [layout.guard(), *beside, *(("ZADD", keys.DEVICES, 0, device) for device in fresh)]
        receive = self._client.send([*others, *(call.words for call in calls)])

        def outcomes() -> list[Outcome | None]:
            replies = receive()
            found = writer.outcomes(calls, replies[len(others) :], len(batch))
            for place, reply in enumerate(replies):
                if isinstance(reply, Exception) and (place < len(others) or not any(found)):
                    raise self._client.away(reply) from reply
            if layout.was_emptied(replies[0], self.place):
                self._indexed.clear()
            self._indexed |= fresh
            for (_, message), outcome in zip(batch, found, strict=True):
                if outcome and isinstance(message, messages.Record):
                    self._outcome_counts[outcome.kind] += 1
            return found

        return outcomes

    def sync(self) -> None:
        """Wait until everything is on disk that this thread has asked; only for a store that one thread uses."""
        self._client.sync()

    def devices(self, after: str, limit: int) -> list[Device]:
        """Return up to so many listed devices whose ids follow the given one; erased devices are not listed."""
        found: list[Device] = []
        while len(found) < limit:
            first = f"({after}" if after else "-"
            members = self.execute("ZRANGEBYLEX", keys.DEVICES, first, "+", "LIMIT", 0, limit)
            if not members:
                break
            ids = [member.decode() for member in members]
            found.extend(device for device in self._devices(ids) if device)
            after = ids[-1]
        return found[:limit]

    def device(self, device: str) -> Device | None:
        """Return one listed device."""
        return self._devices([device])[0]

    def boots(self, device: str) -> list[Boot]:
        """Return the boots that have records, oldest first."""
        packed, generation = self.execute_all([("HGETALL", keys.boots(device)), ("HGET", keys.base(device), "gen")])
        return codec.unpack_boots(packed, int(generation or 0))

    def sequences(
        self, device: str, start: int, end: int, most_boots: int = 100, most_runs: int = 1000
    ) -> tuple[list[BootSequences], bool]:
        """Return which sequence numbers of the boots with records in start <= at < end (Unix ms) are there or missing.

        Which number had which time is not kept, so a boot is told as a whole.

        Args:
            device: Device id.
            start: Unix ms, as `end`.
            end: Not included.
            most_boots: Of more, the newest are returned.
            most_runs: Of more runs of missing numbers, all boots together, those of the newest boots are returned, and
                of a boot the last ones.

        Returns:
            The boots, oldest first, and whether there are more.
        """
        return sequences.of_device(self.execute_all, device, (start, end), most_boots, most_runs)

    def first_day(self, device: str) -> int | None:
        """Return the start of the first day that holds anything, Unix ms."""
        since = self._since(self.rollup_retention_ms) // keys.DAY_MS
        days = self.execute("ZRANGEBYSCORE", keys.days(device), since, "+inf", "LIMIT", 0, 1)
        return int(days[0]) * keys.DAY_MS if days else None

    def readings(self, device: str, start: int, end: int) -> list[Readings]:
        """Return readings of start <= at < end (Unix ms), one table for each schema."""
        start = max(start, self._since(self.retention_ms))
        if start >= end:
            return []
        hours = self._chunks(device, keys.HOUR_MS, start, end)
        schemas, *lists = self.execute_all(
            [("HGETALL", keys.schemas(device)), *(("LRANGE", keys.readings(device, hour), 0, -1) for hour in hours)]
        )
        return reader.readings(schemas, hours, lists, start, end)

    def rollups(self, device: str, resolution: Resolution, start: int, end: int) -> list[Rollups]:
        """Return rollups whose slots begin in start <= at < end (Unix ms), in tables of one schema each."""
        return self._rollups(device, [(resolution, start, end)])

    def totals(self, device: str, start: int, end: int) -> list[Rollups]:
        """Return the days, hours and minutes that make up a range of whole minutes (Unix ms)."""
        return self._rollups(device, cover(start, end))

    def heard(self, device: str, start: int, end: int) -> HeardSpans:
        """Return the heard spans that end in start < end <= end (Unix ms), in order."""
        start = max(start, self._since(self.retention_ms))
        chunks = self._chunks(device, keys.HEARD_CHUNK_MS, start, end + 1)
        lists = self.execute_all([("LRANGE", keys.heard(device, chunk), 0, -1) for chunk in chunks])
        spans = codec.unpack_heard(zip(chunks, lists, strict=True))
        inside = (start < spans.end) & (spans.end <= end)
        return HeardSpans._make(column[inside] for column in spans)

    def events(self, device: str, start: int, end: int) -> list[DeviceEvent]:
        """Return the last event before the range and those in it, in order."""
        key = keys.events(device)
        before, inside = self.execute_all(
            [("XREVRANGE", key, max(start - 1, 0), "-", "COUNT", 1), ("XRANGE", key, start, max(end - 1, 0))]
        )
        return [reader.event(*entry) for entry in [*before, *inside]]

    def event_page(
        self, device: str, start: int, end: int, after: str, limit: int
    ) -> tuple[DeviceEvent | None, list[DeviceEvent]]:
        """Return the event before a page of events, if any, and the page: up to `limit` events in order.

        The page lies in start <= at < end (Unix ms) and follows the event with the id `after`, if one is given.
        """
        if start >= end:
            return None, []
        key = keys.events(device)
        passed = bool(after) and int(after.partition("-")[0]) >= start
        first, before = (f"({after}", after) if passed else (str(start), f"({max(start, 1)}-0")
        found, last = self.execute_all(
            [("XRANGE", key, first, end - 1, "COUNT", limit), ("XREVRANGE", key, before, "-", "COUNT", 1)]
        )
        events = [reader.event(*entry) for entry in [*last, *found]]
        return (events[0] if last else None), events[len(last) :]

    def erase(self, device: str) -> Receipt:
        """Erase everything of a device but its next generation, and queue the command that tells the device.

        If a later step fails, ingest still tells the device, when it answers the next record of the old generation.
        """
        generation, records, erased_at = self.execute("FCALL", keys.function("erase"), 1, keys.base(device))
        self.live_stream.clear()
        command = self.commands.add_erasure(device, generation)
        return Receipt(device, generation, records, erased_at, command)

    def rewrite_after_erasures(self) -> None:
        """Let what was erased leave the store's disk; call it every few seconds."""
        rewriting.after_erasures(self._client)

    def generation(self, device: str) -> int:
        """Return the erase generation of a device; 0 for an unknown one."""
        return int(self.execute("HGET", keys.base(device), "gen") or 0)

    def heartbeat(self, lifetime_s: int, malformed: int = 0, state: IngestState | None = None) -> None:
        """Say that ingest runs, and count the outcomes since the last heartbeat.

        Args:
            lifetime_s: How long ingest counts as running.
            malformed: Messages and records since the last heartbeat that could not be read.
            state: What ingest says of itself.
        """
        counts = {kind: count for kind, count in self._outcome_counts.items() if count}
        increments = {**counts, "malformed": malformed} if malformed else counts
        state = state or IngestState()
        said = msgspec.json.encode(state)
        self.execute_all(
            [
                ("SET", keys.HEARTBEAT, said, "EX", lifetime_s),
                ("SET", keys.heartbeat(state.account), said, "EX", lifetime_s),
                *(("HINCRBY", keys.WRITTEN, kind, count) for kind, count in increments.items()),
            ]
        )
        self._outcome_counts.subtract(counts)

    def fleet(self) -> Fleet:
        """Return all listed devices in numbers."""
        states: Counter[str] = Counter()
        readings = 0
        ids = [member.decode() for member in self.execute("ZRANGE", keys.DEVICES, 0, -1)]
        for first_seen, state, count in self.execute_all(
            [("HMGET", keys.base(device), "first_seen", "state", "readings") for device in ids]
        ):
            if first_seen is not None:
                states[(state or b"unknown").decode()] += 1
                readings += int(count or 0)
        return Fleet(dict(states), readings)

    def outcome_counts(self) -> dict[str, int]:
        """Return how many records had each outcome, since the store is empty; seconds behind `write`."""
        return {kind.decode(): int(count) for kind, count in self.execute("HGETALL", keys.WRITTEN).items()}

    def is_ingest_alive(self) -> bool:
        """Return whether the last heartbeat still holds."""
        return bool(self.execute("EXISTS", keys.HEARTBEAT))

    def ingest_state(self, account: str | None = None) -> IngestState | None:
        """Return what the ingest with an account, or any ingest, said with its last heartbeat; None if none runs."""
        said = self.execute("GET", keys.HEARTBEAT if account is None else keys.heartbeat(account))
        try:
            return _ingest_state.decode(said) if said else None
        except msgspec.DecodeError:  # an older version says only that it is there
            return IngestState()

    @property
    def tokens(self) -> Tokens:
        """Who may use REST."""
        return Tokens(self.execute)

    @property
    def retention(self) -> Retention:
        """What deletes by age."""
        return Retention(self.execute_all, self.retention_ms, self.rollup_retention_ms)

    @property
    def alert_states(self) -> AlertStates:
        """Alerts and their rules."""
        return AlertStates(self.execute)

    @property
    def commands(self) -> CommandQueue:
        """Commands for devices; each queue goes through all of them at its own pace."""
        return CommandQueue(self.execute_all, self.now)

    @property
    def live_stream(self) -> LiveStream:
        """What happens now, for subscribers; each keeps what is added until it is sent."""
        return LiveStream(self.execute_all, self.recent_now)

    def execute_all(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Send several commands and return their replies, for those who keep something beside the devices."""
        return self._client.execute_all(commands)

    def execute(self, *command: Word) -> Any:
        """Send one command and return its reply, for those who keep something beside the devices."""
        return self._client.execute(*command)

    def _since(self, keep_ms: int) -> int:
        """Return the start of the first day that may still be read: what is older is only not yet swept."""
        return horizon(self.recent_now(), keep_ms)

    def _devices(self, ids: list[str]) -> list[Device | None]:
        """Return each device, or None for one that is not listed."""
        commands = [("HGETALL", key) for device in ids for key in (keys.base(device), keys.schemas(device))]
        found, since = self.execute_all(commands), self._since(self.retention_ms)
        return [reader.device(*each, since) for each in zip(ids, found[::2], found[1::2], strict=True)]

    def _chunks(self, device: str, width_ms: int, start: int, end: int) -> list[int]:
        """Return the numbers of the chunks that a range touches; of many, only those of days that hold anything."""
        touched = range(start // width_ms, (end - 1) // width_ms + 1)
        if len(touched) <= _FEW_CHUNKS:
            return [*touched]
        low, high = start // keys.DAY_MS, (end - 1) // keys.DAY_MS
        reach = width_ms // keys.DAY_MS
        days = self.execute("ZRANGEBYSCORE", keys.days(device), low - reach, high + reach)
        if reach:
            chunks = {int(day) // reach for day in days}
        else:
            each = keys.DAY_MS // width_ms
            chunks = {chunk for day in map(int, days) for chunk in range(day * each, (day + 1) * each)}
        return sorted(chunk for chunk in chunks if chunk in touched)

    def _rollups(self, device: str, wanted: list[tuple[Resolution, int, int]]) -> list[Rollups]:
        """Return rollups of slots that begin in ranges (resolution, start, end), and the readings not yet in them.

        One transaction reads all: a reading is in its rollups or in `open`, never in both.
        """
        since = self._since(self.rollup_retention_ms)
        wanted = [(width, max(start, since), end) for width, start, end in wanted if max(start, since) < end]
        groups = [
            reader.Group(resolution, group, start, end)
            for resolution, start, end in wanted
            for group in self._chunks(device, resolution.slot_ms * resolution.slots, start, end)
        ]
        schemas, open_, *hashes = self._client.transaction(
            [
                ("HGETALL", keys.schemas(device)),
                ("LRANGE", keys.open_readings(device), 0, -1),
                *(("HGETALL", keys.rollups(device, group.resolution.name, group.number)) for group in groups),
            ]
        )
        return reader.rollups(schemas, wanted, open_, zip(groups, hashes, strict=True))


def open_store(settings: ServerSettings) -> RedisStore:
    """Return the store that the settings name; nothing is sent to it yet.

    Raises:
        UnusableError: the URL or a retention is not usable.
    """
    if not 0 < settings.retention_days <= settings.rollup_retention_days:
        raise UnusableError(
            f"retention_days {settings.retention_days} and rollup_retention_days {settings.rollup_retention_days} "
            "do not fit: set retention_days to 1 or more, and rollup_retention_days to no less"
        )
    return RedisStore(
        settings.redis_url, settings.retention_days * keys.DAY_MS, settings.rollup_retention_days * keys.DAY_MS
    )
