"""What was erased is gone from the store's disk, too."""

from pathlib import Path

import pytest
from records import DEVICE, reading, status
from services import STORES, RunningStore, running_store, wait_until
from stores import RETENTION_MS, ROLLUP_RETENTION_MS, is_on_disk

from server.errors import StoreAwayError
from server.store import keys
from server.store.redis_store import RedisStore

NAME = "Bedroom of Ada"


@pytest.mark.parametrize("kind", STORES)
def test_what_was_erased_leaves_the_disk(tmp_path: Path, kind: str) -> None:
    """After an erasure the name of the device is in no file, once the store has rewritten them, which is not often."""
    with running_store(tmp_path, kind) as running:
        store = RedisStore(running.url, RETENTION_MS, ROLLUP_RETENTION_MS)
        store.prepare()
        store.write([(DEVICE, status(name=NAME)), (DEVICE, reading(0, store.now()))])
        store.rewrite_after_erasures()
        store.erase(DEVICE)
        assert is_on_disk(tmp_path, NAME)
        store.rewrite_after_erasures()
        wait_until(lambda: not is_on_disk(tmp_path, NAME), "the name is in no file")
        store.write([(DEVICE, status(name=NAME, connection=2))])
        store.erase(DEVICE)
        store.rewrite_after_erasures()
        assert is_on_disk(tmp_path, NAME), "two rewrites follow each other ten minutes later"
        running.client.delete(keys.REWRITTEN)
        store.rewrite_after_erasures()
        wait_until(lambda: not is_on_disk(tmp_path, NAME), "the name is in no file")
        assert not running.client.exists(keys.ERASED)
        store.close()


def test_an_erasure_during_a_rewrite_gets_another_one(
    redis_store: RunningStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A rewrite that began before has what was erased, so it is asked for again; one that is forbidden is logged."""
    store = RedisStore(redis_store.url, RETENTION_MS, ROLLUP_RETENTION_MS)
    store.prepare()
    store.erase(DEVICE)
    monkeypatch.setattr("server.store.client.Client.rewrite_files", lambda _: False)
    store.rewrite_after_erasures()
    assert redis_store.client.exists(keys.ERASED)
    assert not redis_store.client.exists(keys.REWRITTEN)

    def forbidden(_: object) -> bool:
        raise StoreAwayError("NOPERM")

    monkeypatch.setattr("server.store.client.Client.rewrite_files", forbidden)
    store.rewrite_after_erasures()
    store.rewrite_after_erasures()
    assert redis_store.client.exists(keys.ERASED)
    assert len(caplog.records) == 1
    store.close()
