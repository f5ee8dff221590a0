"""What a device publishes for Home Assistant on a real broker, and when it takes it back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from brokers import DEVICE, RunningBroker
from msgspec.structs import replace
from services import wait_until
from sessions import STATUS, running_session, serving

from broker import topics
from broker.messages import LiveState
from device.delivery.outbox import Outbox

SILENCE = LiveState(at=1, state="silent", top=None, scores={}, level_dbfs=-70)


class Home(dict[str, list[bytes]]):
    """What home automation has heard, by topic, and its client."""

    def __init__(self, client: mqtt.Client) -> None:
        super().__init__()
        self.client = client


@contextmanager
def at_home(broker: RunningBroker) -> Iterator[Home]:
    """Listen as home automation, and keep what arrives on each topic in its order."""

    def keep(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        found = heard.setdefault(message.topic, [])
        if not (message.retain and found):  # amqtt may deliver twice what it retained
            found.append(bytes(message.payload))

    with broker.client("homeassistant") as client:
        heard = Home(client)
        client.on_message = keep
        confirmed: list[bool] = []
        client.on_subscribe = lambda *_: confirmed.append(True)
        client.subscribe([("homeassistant/#", 1), (f"{topics.ROOT}/+/state", 1)])
        wait_until(lambda: confirmed, "home automation listens")
        yield heard


def test_home_assistant_finds_the_device(any_broker: RunningBroker, outbox: Outbox, tmp_path: Path) -> None:
    """The announcement is retained for the account of home automation, and said again when Home Assistant starts."""
    with running_session(any_broker, outbox, home_assistant=True, state_dir=tmp_path) as session:
        wait_until(lambda: session._connected, "the device is connected")
        session.publish_live(SILENCE)
        session.publish_live(replace(SILENCE, at=2))
        with at_home(any_broker) as heard:
            (first,) = wait_until(lambda: heard.get(topics.home_assistant(DEVICE)), "the announcement is there")
            assert json.loads(first)["device"]["name"] == STATUS.name
            wait_until(lambda: heard.get(topics.topic(DEVICE, "state")), "the live state is there")
            heard.client.publish(topics.HOME_ASSISTANT_STATUS, b"online", qos=1)
            wait_until(lambda: len(heard[topics.home_assistant(DEVICE)]) == 2, "it is said again")
            session.set_status(name="Hall")
            wait_until(lambda: len(heard[topics.home_assistant(DEVICE)]) == 3, "the new name is said")
            assert json.loads(heard[topics.home_assistant(DEVICE)][-1])["device"]["name"] == "Hall"


def test_a_new_model_is_announced_before_the_status_names_it(
    broker: RunningBroker, outbox: Outbox, tmp_path: Path
) -> None:
    """Home Assistant drops a state that is none of the options that it knows, and would show the old model for good."""
    heard: list[tuple[str, bytes]] = []
    with (
        broker.client("homeassistant", lambda *message: heard.append(message)) as home,
        running_session(broker, outbox, home_assistant=True, state_dir=tmp_path) as session,
    ):
        home.subscribe([("homeassistant/#", 1), (topics.topic("+", "status"), 1)])
        wait_until(lambda: topics.home_assistant(DEVICE) in dict(heard), "the announcement is there")
        session.set_status(model="other-2", models=("ang-hap-neu-1", "other-2"))

        def order() -> list[str]:
            return [topic for topic, payload in heard if b"other-2" in payload]

        wait_until(lambda: len(order()) >= 2, "both are there")

    assert order()[:2] == [topics.home_assistant(DEVICE), topics.topic(DEVICE, "status")]


def test_an_erasure_does_not_hide_a_live_device_from_home_assistant(
    broker: RunningBroker, outbox: Outbox, tmp_path: Path
) -> None:
    """After a Delete has cleared everything, a device that lives on announces itself again."""
    with (
        running_session(broker, outbox, home_assistant=True, state_dir=tmp_path),
        at_home(broker) as heard,
        serving(broker) as server,
    ):
        wait_until(lambda: heard.get(topics.home_assistant(DEVICE)), "the announcement is there")
        for topic in (topics.home_assistant(DEVICE), topics.topic(DEVICE, "status")):
            server.client.publish(topic, b"", qos=1, retain=True)

        wait_until(lambda: heard[topics.home_assistant(DEVICE)][-1] and len(heard[topics.home_assistant(DEVICE)]) == 3,
                   "it is announced again")  # fmt: skip


@pytest.mark.slow
def test_a_broker_that_forgets_everything_is_told_again(broker: RunningBroker, outbox: Outbox, tmp_path: Path) -> None:
    """After the restart of a broker without persistence, status and announcement are there again by themselves."""
    with running_session(broker, outbox, home_assistant=True, state_dir=tmp_path):
        with at_home(broker) as heard:
            wait_until(lambda: heard.get(topics.home_assistant(DEVICE)), "the announcement is there")
        broker.kill()
        (tmp_path / "broker" / "mosquitto.db").unlink(missing_ok=True)
        broker.start()

        with at_home(broker) as heard, serving(broker) as server:
            wait_until(lambda: heard.get(topics.home_assistant(DEVICE)), "the announcement is there again")
            wait_until(lambda: ("online", 2) in server.states(), "the status is there again")


def test_turning_home_assistant_off_takes_the_device_out(broker: RunningBroker, outbox: Outbox, tmp_path: Path) -> None:
    """At the next start with the setting off, what was announced is cleared from the broker."""
    with running_session(broker, outbox, home_assistant=True, state_dir=tmp_path), at_home(broker) as heard:
        wait_until(lambda: heard.get(topics.home_assistant(DEVICE)), "the announcement is there")
    with at_home(broker) as heard, running_session(broker, outbox, state_dir=tmp_path):
        wait_until(lambda: heard.get(topics.home_assistant(DEVICE), [])[-1:] == [b""], "it is cleared")
        wait_until(lambda: not (tmp_path / "home-assistant").exists(), "the device has noted that")
