"""A store whose memory is full still does what an operator needs to empty it."""

from collections.abc import Iterator

import pytest
from records import BOOT, DAY_MS, DEVICE, OTHER_BOOT, reading, status
from services import RunningStore
from stores import RETENTION_MS, ROLLUP_RETENTION_MS, write

from server.errors import StoreAwayError
from server.ops.backup_archive import export
from server.store import keys
from server.store.redis_store import RedisStore
from server.store.retention import Retention
from server.store.rollups import HOUR

OTHER_DEVICE = "ba9876543210"


@pytest.fixture
def full(store: RedisStore, any_store: RunningStore) -> Iterator[RedisStore]:
    """Return a store with two devices whose memory is full."""
    now = store.now()
    for device in (DEVICE, OTHER_DEVICE):
        store.write([(device, status()), *((device, reading(seq, now - seq * 60_000)) for seq in range(500))])
    assert store.tokens.add("thief", "operator")
    clients = any_store.client.get_primaries() if hasattr(any_store.client, "get_primaries") else [None]
    limit = {"target_nodes": clients} if clients != [None] else {}
    any_store.client.config_set("maxmemory", 1, **limit)
    yield store
    any_store.client.config_set("maxmemory", 0, **limit)


def test_a_full_store_takes_nothing_and_keeps_everything(full: RedisStore) -> None:
    """No record is stored, none is lost: whoever sent it is not told that it is stored."""
    with pytest.raises(StoreAwayError, match="maxmemory"):
        write(full, reading(1000, full.now()))
    device = full.device(DEVICE)
    assert device is not None
    assert device.readings == sum(int(table.count.sum()) for table in full.rollups(DEVICE, HOUR, 0, full.now())) == 500


def test_the_operator_erases_in_a_full_store(full: RedisStore) -> None:
    """An erasure works, and the device will be told of it."""
    assert full.erase(DEVICE).records == 500
    assert full.device(DEVICE) is None
    assert [(due.device, due.name) for due in full.commands.due()] == [(DEVICE, "erase")]
    full.commands.note_taken(full.commands.due())
    assert full.commands.due() == []


def test_a_full_store_is_swept(full: RedisStore) -> None:
    """What is past the retention leaves it too, and keys of an older version stop expiring."""
    days = {full.execute("ZCARD", f"{keys.base(device)}:record_days") for device in (DEVICE, OTHER_DEVICE)}
    assert full.retention.keep()
    step = Retention(full.execute_all, -2 * DAY_MS, -2 * DAY_MS).sweep("", full.now())
    assert (step.after, step.refusal) == (None, "")
    assert step.days == 2 * days.pop()
    assert list(full.readings(DEVICE, 0, full.now())) == []


def test_the_operator_changes_tokens_in_a_full_store(full: RedisStore) -> None:
    """A stolen token is revoked, another one is made, and a server that starts makes its first ones."""
    assert full.tokens.revoke("thief")
    assert full.tokens.add("mine", "operator")
    assert full.tokens.make_first("viewer")
    assert sorted(token.name for token in full.tokens.accepted()) == ["mine", "viewer"]


def test_a_server_starts_with_a_full_store(full: RedisStore, any_store: RunningStore) -> None:
    """Ingest and backup open a full store, whose functions are there, and a backup is complete."""
    again = RedisStore(any_store.url, RETENTION_MS, ROLLUP_RETENTION_MS)
    again.prepare()
    assert again.erase(OTHER_DEVICE).records == 500
    *_, end = export(again)
    assert (end.devices, end.readings) == (2, 500)  # type: ignore[union-attr] -- the last line is the end
    assert {boot.boot for boot in again.boots(DEVICE)} == {BOOT} - {OTHER_BOOT}
    again.close()
