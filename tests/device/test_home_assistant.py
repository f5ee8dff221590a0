"""Home Assistant and a device that runs: what people choose is done, and what is shown is in force."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import ACCOUNTS, DEVICE, RunningBroker, running_broker
from home_assistant import Assistant, assisting
from rooms import ROOT, Room
from services import wait_until

from broker import topics

pytestmark = pytest.mark.slow

SWITCH, GATE, MODEL, BACK = (
    f"{entity}_{key}"
    for entity, key in [
        (f"switch.moodwire_{DEVICE}", "listening"),
        (f"number.moodwire_{DEVICE}", "gate"),
        (f"select.moodwire_{DEVICE}", "model"),
        (f"button.moodwire_{DEVICE}", "rollback"),
    ]
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    """Run a broker."""
    with running_broker(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def assistant(broker: RunningBroker, tmp_path: Path) -> Iterator[Assistant]:
    """Run a device that plays the samples again and again, without a server, and Home Assistant."""
    settings = {
        "clips": ROOT / "samples",
        "loop": "true",
        "identity": DEVICE,
        "mqtt_url": broker.url,
        "mqtt_password": ACCOUNTS[DEVICE],
        "state_dir": tmp_path / "device",
        "confirm": "broker",
        "home_assistant": "true",
        "gate_dbfs": -48.5,
    }
    with assisting(broker) as assistant, Room(tmp_path, "device", "run", **settings):
        yield assistant


def until(assistant: Assistant, entity_id: str, state: str) -> None:
    """Wait until Home Assistant shows a state."""
    wait_until(lambda: assistant.state(entity_id) == state, f"{entity_id} is {state}", bound_s=60)


def test_what_people_choose_in_home_assistant_is_done(assistant: Assistant) -> None:
    """Switch, number, select and button show what is in force at the start, and what was chosen then."""
    until(assistant, SWITCH, "online")
    until(assistant, GATE, "-48.5")
    until(assistant, MODEL, "ang-hap-neu-9")
    assert BACK not in assistant.entities()
    switch = assistant.entities()[SWITCH]

    assistant.send(SWITCH, switch["payload_off"])
    until(assistant, SWITCH, switch["state_off"])
    assistant.send(GATE, -40)
    until(assistant, GATE, "-40.0")
    assistant.send(MODEL, "six-6")
    until(assistant, MODEL, "six-6")
    wait_until(lambda: BACK in assistant.entities(), "there is a model to go back to")
    assert f"sensor.moodwire_{DEVICE}_fea" in assistant.entities(), "the other model's labels are announced"
    assistant.send(BACK, "PRESS")
    until(assistant, MODEL, "ang-hap-neu-9")
    assistant.send(SWITCH, switch["payload_on"])
    until(assistant, SWITCH, switch["state_on"])
    until(assistant, GATE, "-40.0")


def test_what_the_server_changes_shows_in_home_assistant(broker: RunningBroker, assistant: Assistant) -> None:
    """A pause and a gate that come over REST, and so from the server's account, are shown like one's own."""
    until(assistant, SWITCH, "online")

    with broker.client("server") as server:
        for number, (name, fields) in enumerate([("pause", {}), ("set", {"gate_dbfs": -33.0})]):
            payload = json.dumps({"v": 1, "transaction": f"{number}"} | fields)
            server.publish(f"{topics.ROOT}/{DEVICE}/cmd/{name}", payload, qos=1)

        until(assistant, SWITCH, "paused")
        until(assistant, GATE, "-33.0")
