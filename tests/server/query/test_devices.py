"""A request looks up a device and its ranges with one question to the store's clock at most."""

import pytest
from clients import URL, Client
from services import RunningStore


@pytest.mark.usefixtures("now")
@pytest.mark.parametrize("path", ["", "?step=10s", "?format=csv", "/summary", "/events", "/plots/timeline.svg"])
def test_a_request_asks_the_clock_once(redis_store: RunningStore, client: Client, path: str) -> None:
    """Redis counts at most one TIME for a GET about a device."""
    redis_store.client.config_resetstat()
    assert client.ask(URL + path).status_code == 200
    asked = redis_store.client.info("commandstats").get("cmdstat_time", {"calls": 0})
    assert asked["calls"] <= 1
