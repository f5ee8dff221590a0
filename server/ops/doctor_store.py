"""The doctor's checks of the store: version, strangers, durability, memory, disk, clock, layout, ingest and tokens."""

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import redis

from common.report import Finding, worst
from server.errors import StoreAwayError
from server.ops import doctor_strangers
from server.settings import ServerSettings
from server.store import keys, layout
from server.store.nodes import Error, Nodes
from server.store.redis_store import RedisStore

NAMES = ("store", "store_strangers", "durability", "memory", "disk", "clock", "layout", "ingest", "retention", "tokens")
_OLDEST_MAJOR = 7
_MEMORY_WARN = 0.8
"""Share of the memory that is worth a warning."""
_SWEEP_WARN_MS = 26 * 3_600_000
_CLOCK_WARN_S = 2.0
_CLOCK_FAIL_S = 300.0
"""The store refuses readings that are so far ahead of its clock."""


class _Server:
    """One of the servers of a store: the only one, or a primary of a Redis Cluster."""

    def __init__(self, client: redis.Redis, store: RedisStore) -> None:
        options = client.connection_pool.connection_kwargs
        self.host = str(options.get("host", ""))
        """Empty for a unix socket."""
        self.place = f"{self.host}:{options.get('port')}" if self.host else store.place
        self.client = client

    def execute(self, *command: str) -> Any:
        """Send one command and return its reply.

        Raises:
            StoreAwayError: it does not answer.
        """
        try:
            return self.client.execute_command(*command)  # type: ignore[no-untyped-call]
        except Error as error:
            raise StoreAwayError(f"the store at {self.place} does not answer: {error}") from error


def check(store: RedisStore, settings: ServerSettings) -> list[Finding]:
    """Check each server of the store; if one does not answer, skip the checks that follow."""
    nodes = Nodes(settings.redis_url)
    try:
        servers = [_Server(client, store) for client in nodes.primaries()]
        each = [_check_server(server) for server in servers]
        places = [server.place for server in servers]
        return [
            *(_cluster(servers[0]) if nodes.is_cluster else ()),
            *(_merged(places, findings) for findings in zip(*each, strict=True)),
            _layout(store),
            _ingest(store),
            _retention(store),
            _tokens(store, settings),
        ]
    except (StoreAwayError, *Error) as error:
        away = isinstance(error, StoreAwayError)
        seen = str(error) if away else f"the store at {store.place} does not answer: {error}"
        todo = "start the store, or let redis_url name the right one"
        return [
            Finding("store", "fail", seen, todo),
            *(Finding(name, "skip", "the store does not answer") for name in NAMES[1:]),
        ]
    finally:
        nodes.close()


def _check_server(server: _Server) -> list[Finding]:
    """Check one server."""
    about: dict[str, Any] = server.execute("INFO", "server")
    persistence: dict[str, Any] = server.execute("INFO", "persistence")
    memory: dict[str, Any] = server.execute("INFO", "memory")
    return [
        _version(server, about),
        doctor_strangers.check(server.client, server.place, _config(server, "port")),
        _durability(server, persistence),
        _memory(memory),
        _disk(server, persistence),
        _clock(server),
    ]


def _merged(places: Sequence[str], findings: Sequence[Finding]) -> Finding:
    """Return the worst finding of one check on all servers, and name the servers that have it."""
    if len(findings) == 1:
        return findings[0]
    result = worst(findings)
    chosen = [(place, one) for place, one in zip(places, findings, strict=True) if one.result in (result, "skip")]
    seen = "; ".join(one.seen if place in one.seen else f"{place}: {one.seen}" for place, one in chosen)
    return Finding(findings[0].name, result, seen, next((one.todo for _, one in chosen if one.result == result), ""))


def _cluster(server: _Server) -> Iterator[Finding]:
    """Ask one node of a cluster whether each slot has a primary."""
    about: dict[str, str] = server.execute("CLUSTER INFO")
    seen = f"{about['cluster_size']} primaries keep {about['cluster_slots_assigned']} of 16384 slots"
    if about["cluster_state"] == "ok":
        yield Finding("cluster", "ok", seen)
    else:
        todo = "start what is down (`redis-cli --cluster check`): devices of those slots wait with their records"
        yield Finding("cluster", "fail", f"the cluster is in state {about['cluster_state']}: {seen}", todo)


def _version(server: _Server, about: dict[str, Any]) -> Finding:
    kind = "Valkey" if "valkey_version" in about else "Redis"
    number = str(about.get("valkey_version") or about["redis_version"])
    seen = f"{kind} {number} at {server.place}"
    if int(number.partition(".")[0]) < _OLDEST_MAJOR:
        return Finding("store", "fail", seen, "use Redis 7 or newer, or Valkey")
    return Finding("store", "ok", seen)


def _layout(store: RedisStore) -> Finding:
    found = layout.found(store.execute)
    if found is None:
        return Finding("layout", "ok", "the store is empty")
    if found == keys.LAYOUT_VERSION:
        return Finding("layout", "ok", f"the data has layout {found}")
    seen = f"the store holds data in layout {found}, and this version reads layout {keys.LAYOUT_VERSION}"
    return Finding("layout", "fail", seen, "use the version that wrote it, or an empty store")


def _durability(server: _Server, persistence: dict[str, Any]) -> Finding:
    wrong = [
        name
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status")
        if persistence.get("aof_enabled") and persistence.get(name) != "ok"
    ]
    if wrong:
        seen = f"the store could not write to its disk: {', '.join(wrong)} is not ok"
        return Finding("durability", "fail", seen, "look for a full or broken disk, and into the store's log")
    appendonly, appendfsync = _config(server, "appendonly"), _config(server, "appendfsync")
    if appendonly is None or appendfsync is None:
        seen = "the store does not tell its settings"
        return Finding("durability", "skip", seen, "ask who runs it for appendonly yes and appendfsync always")
    seen = f"appendonly is {appendonly}, appendfsync is {appendfsync}"
    if appendonly != "yes" or appendfsync != "always":
        todo = "CONFIG SET appendonly yes and appendfsync always, and the same in the store's file of settings"
        return Finding("durability", "fail", f"{seen}: a power cut loses what was confirmed", todo)
    return Finding("durability", "ok", seen)


def _memory(memory: dict[str, Any]) -> Finding:
    used, most, policy = int(memory["used_memory"]), int(memory["maxmemory"]), str(memory["maxmemory_policy"])
    limit = most or int(memory.get("total_system_memory", 0))
    share = f"{_mb(used)} used" + (f" of {_mb(limit)} {'allowed' if most else 'in the machine'}" if limit else "")
    if policy != "noeviction":
        todo = "CONFIG SET maxmemory-policy noeviction: ingest then waits, and devices keep their records"
        return Finding("memory", "fail", f"the store deletes readings when memory is short: {policy}", todo)
    if limit and used > _MEMORY_WARN * limit:
        todo = "give it more memory, or lower retention_days; docs/operations.md tells what a device needs"
        return Finding("memory", "warn", share, todo)
    return Finding("memory", "ok", f"{share}, noeviction")


def _disk(server: _Server, persistence: dict[str, Any]) -> Finding:
    folder = _config(server, "dir")
    if folder is None or server.host not in ("", "127.0.0.1", "::1", "localhost") or not Path(folder).is_dir():
        return Finding("disk", "skip", "the store's disk is not on this machine")
    free, file = shutil.disk_usage(folder).free, int(persistence.get("aof_current_size", 0))
    seen = f"{_mb(free)} free at {folder}, the append-only file has {_mb(file)}"
    if free < 2 * file or free < 100_000_000:
        todo = "make room: when the file is rewritten, the store needs as much again"
        return Finding("disk", "warn", seen, todo)
    return Finding("disk", "ok", seen)


def _clock(server: _Server) -> Finding:
    before_s = time.time()
    seconds, micros = server.execute("TIME")
    store_s = int(seconds) + int(micros) / 1e6
    apart_s = store_s - (before_s + time.time()) / 2
    seen = f"the store's clock and this machine's are {abs(apart_s):.1f} s apart"
    if abs(apart_s) < _CLOCK_WARN_S:
        return Finding("clock", "ok", seen)
    todo = "let both be set by NTP (`timedatectl`): the store's clock decides what is too old or too far ahead"
    return Finding("clock", "fail" if abs(apart_s) >= _CLOCK_FAIL_S else "warn", seen, todo)


def _ingest(store: RedisStore) -> Finding:
    if store.is_ingest_alive():
        return Finding("ingest", "ok", "ingest is there, connected to broker and store")
    seen = "ingest is not there, or not connected to broker and store"
    return Finding("ingest", "fail", seen, "start `moodwire server ingest`; its log says what it waits for")


def _retention(store: RedisStore) -> Finding:
    swept, now = store.retention.swept(), store.now()
    last = swept.at or swept.until
    if not last:
        return Finding("retention", "ok", "ingest has not yet run here; it deletes what is past the retention")
    if now - last <= _SWEEP_WARN_MS:
        done = f"{(now - last) / 60_000:.0f} min ago" if swept.at else "not yet: it begins ten minutes after ingest"
        return Finding("retention", "ok", f"what is past the retention was deleted {done}")
    why = f": {swept.reason}" if swept.reason else ""
    seen = f"nothing was deleted by its age for {(now - last) / 3_600_000:.0f} h{why}"
    return Finding("retention", "warn", seen, "let ingest run, and let all clocks be set by NTP (`timedatectl`)")


def _tokens(store: RedisStore, settings: ServerSettings) -> Finding:
    roles = [token.role for token in store.tokens.accepted()]
    roles += ["viewer"] if settings.viewer_token else []
    roles += ["operator"] if settings.operator_token else []
    seen = f"{roles.count('viewer')} viewer and {roles.count('operator')} operator tokens"
    if roles:
        return Finding("tokens", "ok", seen)
    return Finding("tokens", "warn", "there is no token", "make one: `moodwire server token add`")


def _config(server: _Server, name: str) -> str | None:
    """Return a setting of the store; None if the store does not tell."""
    try:
        found: dict[str, str] = server.execute("CONFIG GET", name)
    except StoreAwayError:
        return None
    return found.get(name)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
