"""Helpers that write to a store and wait for its clock."""

from pathlib import Path
from typing import Any

from records import DAY_MS, DEVICE
from services import wait_until

from server.store.redis_store import RedisStore

RETENTION_MS = 90 * DAY_MS
ROLLUP_RETENTION_MS = 730 * DAY_MS


def write(store: RedisStore, *messages: Any) -> list[str]:
    """Write messages of one device and return the kind of each outcome."""
    return [outcome.kind for outcome in store.write([(DEVICE, message) for message in messages]) if outcome]


def next_millisecond(store: RedisStore) -> None:
    """Wait until the store's clock has moved on by a millisecond."""
    since = store.now()
    wait_until(lambda: store.now() > since, "a millisecond has passed")


def is_on_disk(folder: Path, text: str) -> bool:
    """Return whether an append-only file of the store in a folder has a text; also if a file goes meanwhile."""
    try:
        return any(text.encode() in file.read_bytes() for file in (folder / "appendonlydir").iterdir())
    except FileNotFoundError:
        return True
