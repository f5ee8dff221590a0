"""Services that a healthy device needs, and settings of a device for the doctor."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import ACCOUNTS, DEVICE, free_port, running_broker
from diagnoses import Hospital
from rooms import Room
from services import running_store


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """Run broker, store and ingest for the tests that do not harm them."""
    folder = tmp_path_factory.mktemp("services")
    with running_broker(folder / "broker") as broker, running_store(folder / "store") as store:
        login = {"mqtt_username": "server", "mqtt_password": ACCOUNTS["server"]}
        with Room(folder, "server", "ingest", redis_url=store.url, mqtt_url=broker.url, **login) as ingest:
            ingest.says("the server is online")
            yield Hospital(broker, store, ingest)


@pytest.fixture
def a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the settings be those of a device whose clips and whose broker are away, which saves time."""
    (tmp_path / "state").mkdir()
    settings = {
        "clips": tmp_path / "room.wav",
        "listen_s": 1,
        "state_dir": tmp_path / "state",
        "identity": DEVICE,
        "mqtt_url": f"mqtt://127.0.0.1:{free_port()}",
        "mqtt_password": ACCOUNTS[DEVICE],
    }
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("device.ops.doctor.PATIENCE_S", 60.0)  # a busy machine answers late
    monkeypatch.setattr("device.ops.doctor_network.ANSWER_S", 25.0)
    for name, value in settings.items():
        monkeypatch.setenv(f"MOODWIRE_{name.upper()}", str(value))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for answers that will not come only a second."""
    monkeypatch.setattr("device.ops.doctor_network.ANSWER_S", 1.0)
