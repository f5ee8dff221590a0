"""A server that would lose what it confirms is refused."""

from pathlib import Path

import pytest
from records import DAY_MS
from services import running_store

from server.errors import UnusableError
from server.store.redis_store import RedisStore


@pytest.mark.parametrize("appendonly", ["no", "yes"])
def test_a_store_that_would_lose_data_is_refused(tmp_path: Path, appendonly: str) -> None:
    """Without an append-only file, or with one that is not synced, `prepare` says so and what to set."""
    with (
        running_store(tmp_path, extra=["--appendonly", appendonly, "--appendfsync", "no"]) as running,
        pytest.raises(UnusableError, match=f"appendonly {appendonly} and appendfsync no; set appendonly yes"),
    ):
        RedisStore(running.url, DAY_MS, DAY_MS).prepare()
