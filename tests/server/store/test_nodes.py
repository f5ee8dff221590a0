"""A server that would lose what it confirms is refused."""

from pathlib import Path
from urllib.parse import quote

import pytest
from records import DAY_MS, DEVICE, reading, status
from services import STORES, running_store

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


@pytest.mark.parametrize("kind", STORES)
def test_a_store_that_syncs_once_a_second_is_refused(tmp_path: Path, kind: str) -> None:
    """A second may be lost then, although WAITAOF says that it is not."""
    with (
        running_store(tmp_path, kind, ["--appendfsync", "everysec"]) as running,
        pytest.raises(UnusableError, match="appendfsync everysec; set appendonly yes and appendfsync always"),
    ):
        RedisStore(running.url, DAY_MS, DAY_MS).prepare()


@pytest.mark.parametrize("kind", STORES)
def test_a_user_with_few_rights_and_an_odd_password_can_use_the_store(tmp_path: Path, kind: str) -> None:
    """Neither INFO nor CONFIG SET nor keys of others are needed, and a password may have any characters."""
    password = "p#w/ü?@"
    with running_store(tmp_path, kind) as running:
        rights = ("~mw:*", "~{mw*", "+@all", "-@dangerous", "-@admin", "+config|get")
        running.client.execute_command("ACL", "SETUSER", "moodwire", "on", f">{password}", *rights)
        store = RedisStore(
            running.url.replace("unix://", f"unix://moodwire:{quote(password, safe='')}@"), 90 * DAY_MS, 730 * DAY_MS
        )
        store.prepare()

        written = store.write([(DEVICE, status()), (DEVICE, reading(1, store.now() - 1000))])
        found = [device.id for device in store.devices("", 10)]
        store.close()

    assert [outcome.kind for outcome in written if outcome] == ["stored", "stored"]
    assert found == [DEVICE]
