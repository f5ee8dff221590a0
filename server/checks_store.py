"""The doctor's checks of the store: is it there, does it keep what it confirms, has it room, who writes to it."""

import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from server import layout, migrate
from server.findings import Finding
from server.problems import StoreAwayError
from server.redis_store import RedisStore
from server.settings import ServerSettings

NAMES = ("store", "durability", "memory", "disk", "clock", "ingest", "tokens")
_OLDEST_MAJOR = 7
_MUCH = 0.8
"""Share of the memory that calls for attention."""
_CLOCK_WARN_S = 2.0
_CLOCK_FAIL_S = 300.0
"""Readings that lie so far ahead of the store's clock are refused."""


def check(store: RedisStore, settings: ServerSettings) -> list[Finding]:
    """Look at the store; if it does not answer, the checks behind it are skipped."""
    try:
        server: dict[str, Any] = store.ask("INFO", "server")
        persistence: dict[str, Any] = store.ask("INFO", "persistence")
        memory: dict[str, Any] = store.ask("INFO", "memory")
        return [
            _version(store, server),
            _durability(store, persistence),
            _memory(memory),
            _disk(store, persistence),
            _clock(store),
            _ingest(store),
            _tokens(store, settings),
        ]
    except StoreAwayError as error:
        todo = "start the store, or let redis_url name the right one"
        return [
            Finding("store", "fail", str(error), todo),
            *(Finding(name, "skip", "the store does not answer") for name in NAMES[1:]),
        ]


def _version(store: RedisStore, server: dict[str, Any]) -> Finding:
    kind = "Valkey" if "valkey_version" in server else "Redis"
    number = str(server.get("valkey_version") or server["redis_version"])
    seen = f"{kind} {number} at {store.place}"
    if int(number.partition(".")[0]) < _OLDEST_MAJOR:
        return Finding("store", "fail", seen, "Redis 7 or newer, or Valkey, is needed")
    found = migrate.found(store)
    if found not in (None, layout.VERSION):
        return Finding("store", "fail", f"{seen} holds data in layout {found}", "`moodwire server migrate` says more")
    return Finding("store", "ok", seen)


def _durability(store: RedisStore, persistence: dict[str, Any]) -> Finding:
    wrong = [
        name
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status")
        if persistence.get("aof_enabled") and persistence.get(name) != "ok"
    ]
    if wrong:
        seen = f"the store could not write to its disk: {', '.join(wrong)} is not ok"
        return Finding("durability", "fail", seen, "look for a full or broken disk, and into the store's log")
    appendonly, appendfsync = _config(store, "appendonly"), _config(store, "appendfsync")
    if appendonly is None or appendfsync is None:
        seen = "the store does not tell its settings"
        return Finding("durability", "skip", seen, "ask who runs it for appendonly yes")
    seen = f"appendonly is {appendonly}, appendfsync is {appendfsync}"
    # Without WAITAOF (Redis before 7.2) nobody knows what is on disk, unless it is all written at once.
    waits = bool(store.ask("COMMAND LIST", "FILTERBY", "PATTERN", "waitaof"))
    enough = ("everysec", "always") if waits else ("always",)
    if appendonly != "yes" or appendfsync not in enough:
        todo = f"CONFIG SET appendonly yes and appendfsync {enough[0]}, and the same in the store's file of settings"
        return Finding("durability", "fail", f"{seen}: a power cut loses what was confirmed", todo)
    return Finding("durability", "ok", seen)


def _memory(memory: dict[str, Any]) -> Finding:
    used, most, policy = int(memory["used_memory"]), int(memory["maxmemory"]), str(memory["maxmemory_policy"])
    limit = most or int(memory.get("total_system_memory", 0))
    share = f"{_mb(used)} used" + (f" of {_mb(limit)} {'allowed' if most else 'in the machine'}" if limit else "")
    if policy != "noeviction":
        todo = "CONFIG SET maxmemory-policy noeviction: ingest then waits, and devices keep their records"
        return Finding("memory", "fail", f"the store deletes readings when memory is short: {policy}", todo)
    if limit and used > _MUCH * limit:
        todo = "give it more memory, or lower retention_days; docs/operations.md tells what a device needs"
        return Finding("memory", "warn", share, todo)
    return Finding("memory", "ok", f"{share}, noeviction")


def _disk(store: RedisStore, persistence: dict[str, Any]) -> Finding:
    folder = _config(store, "dir")
    host = urlsplit(store.place).hostname
    if folder is None or host not in (None, "127.0.0.1", "::1", "localhost") or not Path(folder).is_dir():
        return Finding("disk", "skip", "the store's disk is not on this machine")
    free, file = shutil.disk_usage(folder).free, int(persistence.get("aof_current_size", 0))
    seen = f"{_mb(free)} free at {folder}, the append-only file has {_mb(file)}"
    if free < 2 * file or free < 100_000_000:
        todo = "make room: when the file is rewritten, the store needs as much again"
        return Finding("disk", "warn", seen, todo)
    return Finding("disk", "ok", seen)


def _clock(store: RedisStore) -> Finding:
    before_s = time.time()
    store_s = store.now() / 1000
    apart_s = store_s - (before_s + time.time()) / 2
    seen = f"the store's clock and this machine's are {abs(apart_s):.1f} s apart"
    if abs(apart_s) < _CLOCK_WARN_S:
        return Finding("clock", "ok", seen)
    todo = "let both be set by NTP (`timedatectl`): the store's clock decides what is too old or too far ahead"
    return Finding("clock", "fail" if abs(apart_s) >= _CLOCK_FAIL_S else "warn", seen, todo)


def _ingest(store: RedisStore) -> Finding:
    if store.ingest_is_there():
        return Finding("ingest", "ok", "ingest is there, connected to broker and store")
    seen = "ingest is not there, or not connected to broker and store"
    return Finding("ingest", "fail", seen, "start `moodwire server ingest`; its log says what it waits for")


def _tokens(store: RedisStore, settings: ServerSettings) -> Finding:
    roles = [token.role for token in store.tokens.accepted()]
    roles += ["viewer"] if settings.viewer_token else []
    roles += ["operator"] if settings.operator_token else []
    seen = f"{roles.count('viewer')} viewer and {roles.count('operator')} operator tokens"
    if roles:
        return Finding("tokens", "ok", seen)
    return Finding("tokens", "warn", "there is no token", "`moodwire server token add` makes one")


def _config(store: RedisStore, name: str) -> str | None:
    """Return a setting of the store, or None where it does not tell."""
    try:
        found: dict[str, str] = store.ask("CONFIG GET", name)
    except StoreAwayError:
        return None
    return found.get(name)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
