"""`moodwire device run` with real services around it: commands, restarts and signals."""

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from brokers import ACCOUNTS, DEVICE, RunningBroker, free_port, running_broker
from outboxes import open_outbox, put
from patience import REPLY_S
from rooms import OPERATOR, ROOT, VIEWER, Rest, Room
from services import running_store, wait_until

import models.bundle
from broker import topics
from broker.messages import CommandResponse, decode
from broker.topics import CommandName
from device.delivery.outbox_file import kept_aside, peek
from device.system.identity import machine
from models import packing, signing

pytestmark = pytest.mark.slow

GRACE_S = 20.0


class World:
    """Broker, store, ingest and REST; `device` starts a device that plays the samples again and again."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.state_dir = folder / "device"
        self.broker: RunningBroker = stack.enter_context(running_broker(folder / "broker"))
        store = stack.enter_context(running_store(folder / "store"))
        self.rest = Rest(free_port())
        services = {"redis_url": store.url, "mqtt_url": self.broker.url}
        login = {"mqtt_username": "server", "mqtt_password": ACCOUNTS["server"]}
        tokens = {"viewer_token": VIEWER, "operator_token": OPERATOR, "api_port": self.rest.url.rpartition(":")[2]}
        stack.enter_context(Room(folder, "server", "ingest", **services, **login))
        stack.enter_context(Room(folder, "server", "run", **services, **tokens))
        self._answers: list[CommandResponse] = []
        self._operator = stack.enter_context(self.broker.client("server", self._hear))
        self._operator.subscribe(f"{topics.ROOT}/{DEVICE}/cmd/+/response", qos=1)
        self._asked = 0
        wait_until(self.rest.ready, "store and ingest are ready")

    def device(self, **settings: object) -> Room:
        """Start the device."""
        usual = {
            "clips": ROOT / "samples",
            "loop": "true",
            "identity": DEVICE,
            "mqtt_url": self.broker.url,
            "mqtt_password": ACCOUNTS[DEVICE],
            "state_dir": self.state_dir,
            "clock_wait_s": 0,
        }
        return self._stack.enter_context(Room(self._folder, "device", "run", **(usual | settings)))

    def ask(self, name: CommandName, /, **what: object) -> CommandResponse:
        """Send a command and return its answer."""
        self._asked += 1
        transaction = f"t{self._asked}"
        payload = json.dumps({"v": 1, "transaction": transaction} | what)
        self._operator.publish(topics.command(DEVICE, name), payload, qos=1)

        def answered() -> CommandResponse | None:
            return next((found for found in self._answers if found.transaction == transaction), None)

        response: CommandResponse = wait_until(answered, f"the device answers {name}")
        return response

    def facts(self) -> dict[str, Any]:
        """Return what REST tells of the device; nothing before it is known."""
        headers = {"Authorization": f"Bearer {VIEWER}"}
        answer = requests.get(f"{self.rest.url}/api/v1/devices/{DEVICE}", headers=headers, timeout=REPLY_S)
        found: dict[str, Any] = answer.json() if answer.ok else {}
        return found

    def until(self, condition: Callable[[dict[str, Any]], Any], what: str) -> dict[str, Any]:
        """Wait until what REST tells of the device is as it shall be, and return it."""

        def found() -> dict[str, Any] | None:
            facts = self.facts()
            return facts if facts and condition(facts) else None

        facts: dict[str, Any] = wait_until(found, f"{what}; REST says {self.facts()}", bound_s=GRACE_S)
        return facts

    def _hear(self, _topic: str, payload: bytes) -> None:
        self._answers.append(decode(payload, CommandResponse))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Run everything around a device."""
    with ExitStack() as stack:
        yield World(tmp_path, stack)


def test_a_pause_closes_the_source_survives_a_kill_and_ends_on_command(world: World) -> None:
    """While paused nothing is read or recorded and everyone sees why, also after kill -9; resume goes on."""
    device = world.device()
    world.until(lambda facts: facts["readings"] >= 1, "a reading is stored")

    assert world.ask("pause").status == "ok"
    device.says("paused: the microphone is closed")
    world.until(lambda facts: facts["state"] == "paused", "everyone sees the pause")
    device.kill()
    world.until(lambda facts: facts["state"] == "offline", "its last will says that it is gone")
    device.start()
    paused = world.until(lambda facts: facts["state"] == "paused", "it is paused after the kill")
    assert world.ask("resume").status == "ok"
    after = world.until(lambda facts: facts["readings"] > paused["readings"], "readings come again")

    assert after["state"] == "online"
    assert device.stop() == 0


def test_settings_change_while_it_runs_and_stay(world: World) -> None:
    """A gate that nothing passes is lowered and a new name is told, without a restart, and both last over one."""
    device = world.device(gate_dbfs=0)
    world.until(lambda facts: facts["state"] == "online", "the device is there")

    assert world.ask("set", gate_dbfs=-50, name="Hall").status == "ok"
    world.until(lambda facts: facts["readings"] >= 1 and facts["name"] == "Hall", "readings and the new name come")
    refused = world.ask("set", gate_dbfs=20)
    assert device.stop() == 0
    before = world.until(lambda facts: facts["state"] == "offline", "it has said goodbye")
    world.device(gate_dbfs=0)
    world.until(lambda facts: facts["readings"] > before["readings"], "readings come after a restart")

    assert refused.status == "error"
    assert "gate_dbfs" in str(refused.error)


def test_a_signed_model_is_switched_to_and_back_without_a_hole(world: World, tmp_path: Path) -> None:
    """Readings go on under the next model's name in the same boot, none missing; a stranger's model changes nothing."""
    ours, strangers = tmp_path / "ours.key", tmp_path / "strangers.key"
    for key in (ours, strangers):
        signing.make_key(key)
    bundle = _renamed(tmp_path, "ang-hap-neu-next")
    (tmp_path / "good").write_bytes(packing.pack(bundle, signing.read_key(ours)))
    (tmp_path / "bad").write_bytes(packing.pack(bundle, signing.read_key(strangers)))
    device = world.device(model_key=signing.public_key(signing.read_key(ours)))
    first = world.until(lambda facts: facts["readings"] >= 1, "a reading is stored")

    refused = world.ask("model", source=str(tmp_path / "bad"))
    assert world.ask("model", source=str(tmp_path / "good")) == CommandResponse(
        transaction="t2", status="ok", error=None
    )
    world.until(
        lambda facts: facts["model"] == "ang-hap-neu-next" and facts["readings"] > first["readings"] + 3,
        "readings come from the next model",
    )
    assert world.ask("model", rollback=True).status == "ok"
    last = world.until(lambda facts: facts["model"] == first["model"], "the model before is back")
    assert device.stop() == 0

    assert refused.status == "error"
    assert "signature" in str(refused.error)
    assert [boot["missing"] for boot in last["boots"]] == [0]


def test_systemd_is_notified_while_windows_flow(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It receives READY, signs of life with the level, and STOPPING."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "4000000")
        device = world.device()
        told = [systemd.recv(4096).decode() for _ in range(4)]
        device.process.terminate()
        while "STOPPING=1" not in told[-1]:
            told.append(systemd.recv(4096).decode())

    assert told[0].startswith("READY=1\n")
    assert all(line.startswith("WATCHDOG=1\nSTATUS=") for line in told[1:4])
    assert "dBFS" in told[3]


def _renamed(folder: Path, name: str) -> Path:
    """Return a copy of the shipped bundle under another name."""
    copy = folder / name
    shutil.copytree(models.bundle.find(models.bundle.DEFAULT), copy)
    manifest = models.bundle.load(copy).manifest
    models.bundle.write_manifest(copy, msgspec.structs.replace(manifest, name=name))
    return copy


def test_an_update_sets_no_outbox_aside(tmp_path: Path) -> None:
    """A device that has had a random id so far, without an address at its start, keeps it and sends what waits."""
    state = tmp_path / "state"
    outbox = open_outbox(state, "02aabbccddee", machine())
    put(outbox, 0)
    outbox.close()
    (state / "device-id").write_text("02aabbccddee\n")
    nobody = f"mqtt://127.0.0.1:{free_port()}"
    with Room(tmp_path, "device", "run", clips=ROOT / "samples", loop=True, mqtt_url=nobody, state_dir=state) as device:
        device.says("device 02:aa:bb:cc:dd:ee")
        device.says("listening to")
        assert "are kept in" not in device.log
    assert peek(state / "outbox.sqlite").rows >= 1
    assert kept_aside(state / "outbox.sqlite") == []
