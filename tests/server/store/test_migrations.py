"""The store's layout is brought up step by step, and one that is not known is refused in a sentence."""

from pathlib import Path

import pytest
from records import DAY_MS, DEVICE, reading
from services import RunningStore

import moodwire
from server.errors import UnusableError
from server.store import layout, migrations
from server.store.redis_store import RedisStore


@pytest.fixture
def store(redis_store: RunningStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RedisStore:
    """Return an empty store, which the commands use, too."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("MOODWIRE_REDIS_URL", redis_store.url)
    return RedisStore(redis_store.url, DAY_MS, DAY_MS)


def test_a_current_store_needs_nothing(store: RedisStore, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty store and one of this version's layout are left alone, and the command says so."""
    assert moodwire.main(["server", "migrate"]) == 0
    assert "the store is empty" in capsys.readouterr().out
    store.prepare()
    store.write([(DEVICE, reading(0, store.now()))])
    assert moodwire.main(["server", "migrate"]) == 0
    assert f"layout {layout.VERSION}, which is current" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ("99", "a newer moodwire wrote"),
        ("1", "there is no way from layout 1 to 2"),
        ("x", "a whole number is right"),
    ],
)
def test_an_unknown_layout_is_refused(
    store: RedisStore, found: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A newer layout, one without a way from it, and none at all end with code 2 and leave the store as it is."""
    store.execute("SET", layout.VERSION_KEY, found)
    assert moodwire.main(["server", "migrate"]) == 2
    assert sentence in capsys.readouterr().err
    assert store.execute("GET", layout.VERSION_KEY) == found.encode()


def test_steps_are_done_in_order_and_go_on_where_they_were_cut_off(store: RedisStore) -> None:
    """Each step that is done is noted, so that the next try begins with the one that failed."""
    done: list[int] = []

    def fail(_: migrations.Asked) -> None:
        raise UnusableError("no")

    store.execute("SET", layout.VERSION_KEY, 3)
    with pytest.raises(UnusableError):
        migrations.bring(store, {3: lambda _: done.append(3), 4: fail}, 5)
    assert migrations.found(store) == 4
    said = migrations.bring(store, {3: lambda _: done.append(3), 4: lambda _: done.append(4)}, 5)
    assert said == "the store had layout 4 and has layout 5 now"
    assert done == [3, 4]


def test_nothing_is_moved_under_a_running_ingest(store: RedisStore) -> None:
    """While ingest is at work, no step is taken."""
    store.execute("SET", layout.VERSION_KEY, 3)
    store.heartbeat(15)
    with pytest.raises(UnusableError, match="ingest is at work"):
        migrations.bring(store, {3: lambda _: None}, 4)
    assert migrations.found(store) == 3
