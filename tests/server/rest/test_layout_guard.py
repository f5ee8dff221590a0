"""REST and live events read nothing from a store with another layout, and say why."""

from pathlib import Path

import pytest
import requests
from brokers import free_port
from clients import URL, Client
from patience import CHILD_S, REPLY_S
from rooms import VIEWER, Rest, Room, bearer
from services import RunningStore, running_store, wait_until

from server.rest import layout_guard
from server.store import keys

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("command", ["run", "live"])
def test_the_server_ends_when_the_store_has_another_layout(
    redis_store: RunningStore, tmp_path: Path, command: str
) -> None:
    """With a newer or an older layout in the store, each ends with code 2 and changes nothing."""
    for found in ("99", "1"):
        redis_store.client.set(keys.LAYOUT, found)
        ports = {"api_port": free_port(), "live_port": free_port()}
        with Room(tmp_path, "server", command, redis_url=redis_store.url, **ports) as room:
            assert room.process.wait(CHILD_S) == 2
            assert f"the store holds data in layout {found}, and this version reads layout 3" in room.log
            assert "Traceback" not in room.log
        assert redis_store.client.keys() == [keys.LAYOUT.encode()]


def test_a_store_that_comes_later_with_another_layout_is_not_read(tmp_path: Path) -> None:
    """REST waits for the store, answers 503 while it has another layout, and serves once that is mended."""
    with running_store(tmp_path / "store") as store:
        store.client.set(keys.LAYOUT, 99)
        store.kill()
        rest = Rest(free_port())
        settings = {"redis_url": store.url, "viewer_token": VIEWER, "api_port": rest.url.rpartition(":")[2]}
        with Room(tmp_path, "server", "run", **settings) as room:
            room.says("does not answer")
            store.start()
            room.says("layout 99")
            for path in ("/api/v1/devices", "/readyz"):
                answer = requests.get(f"{rest.url}{path}", headers=bearer(VIEWER), timeout=REPLY_S)
                assert answer.status_code == 503
                assert "layout 99" in answer.json()["detail"]
            assert requests.get(f"{rest.url}/livez", timeout=REPLY_S).ok
            assert store.client.keys() == [keys.LAYOUT.encode()], "no token is made in a store that is not ours"
            store.client.set(keys.LAYOUT, keys.LAYOUT_VERSION)
            room.says("operator token")
            devices = f"{rest.url}/api/v1/devices"
            wait_until(lambda: requests.get(devices, headers=bearer(VIEWER), timeout=REPLY_S).ok, "it answers")


def test_a_store_that_is_exchanged_under_a_running_server_is_not_read(
    client: Client, redis_store: RunningStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layout that changes while the server runs is noticed, and so is its way back."""
    monkeypatch.setattr(layout_guard, "_FRESH_S", 0.0)
    client.get("/api/v1/devices")
    redis_store.client.set(keys.LAYOUT, 99)
    assert "layout 99" in client.problem(URL, 503)
    redis_store.client.set(keys.LAYOUT, keys.LAYOUT_VERSION)
    client.get("/api/v1/devices")
