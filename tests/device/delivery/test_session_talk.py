"""What a device says and hears beyond records: commands, Home Assistant, changes of status, other confirmations."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from brokers import ACCOUNTS, DEVICE, RunningBroker, running_broker
from msgspec.structs import replace
from outboxes import open_outbox
from services import wait_until
from sessions import STATUS, ignore, put, running_session, serving

from broker import topics
from broker.messages import CommandResponse, Live, Status, decode
from common.backoff import Backoff
from device.control.commands import Commands
from device.control.overrides import Overrides
from device.delivery import connection
from device.delivery.outbox import Outbox
from device.delivery.session import Session
from device.settings import DeviceSettings
from models import bundle, packing, signing

SILENCE = Live(at=1, state="silent", top=None, scores={}, level_dbfs=-70)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """Return an empty outbox."""
    return open_outbox(tmp_path)


@contextmanager
def at_home(broker: RunningBroker) -> Iterator[dict[str, list[bytes]]]:
    """Listen as home automation, and keep what arrives on each topic in its order."""
    heard: dict[str, list[bytes]] = {}

    def keep(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        found = heard.setdefault(message.topic, [])
        if not (message.retain and found):  # amqtt may deliver twice what it retained
            found.append(bytes(message.payload))

    with broker.client("homeassistant") as client:
        client.on_message = keep
        confirmed: list[bool] = []
        client.on_subscribe = lambda *_: confirmed.append(True)
        client.subscribe([("homeassistant/#", 1), (f"{topics.ROOT}/+/state", 1)])
        wait_until(lambda: confirmed, "home automation listens")
        yield heard


def lost_and_back(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the device has logged about its connection."""
    lines = [record.getMessage() for record in caplog.records if record.name == connection.__name__]
    return ["lost" if "trying again" in line else "back" for line in lines if "connected" in line or "trying" in line]


def test_one_line_when_lost_and_one_when_back(
    broker: RunningBroker, outbox: Outbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the device tries while the broker is away, the log has one line for each change."""
    caplog.set_level("INFO")
    tries: list[float] = []

    def next_s(backoff: Backoff) -> float:
        tries.append(backoff._span_s)
        next_span(backoff)
        return 0.05

    next_span = Backoff.next_s
    monkeypatch.setattr(Backoff, "next_s", next_s)
    with running_session(broker, outbox):
        with serving(broker) as server:
            wait_until(server.states, "the device is online")
        broker.kill()
        wait_until(lambda: len(tries) > 8, "the device tries again and again")
        broker.start()
        with serving(broker) as server:
            wait_until(lambda: server.states()[-1:] == [("online", STATUS.connection + len(tries) + 1)], "it is back")

    assert lost_and_back(caplog) == ["back", "lost", "back"]
    assert tries[:8] == [1, 2, 4, 8, 16, 32, 60, 60], "the longest wait doubles up to a minute"


def test_a_first_connection_that_fails_is_said_with_the_reason(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker that is not there is named with what the system says about it."""
    session = Session(DeviceSettings(mqtt_url="mqtt://127.0.0.1:1"), DEVICE, STATUS, outbox, ignore)
    session.start()
    try:
        wait_until(lambda: "the broker at 127.0.0.1:1 cannot be reached: Connection refused" in caplog.text, "it is")
    finally:
        session.stop()


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_without_a_server_the_broker_confirms(broker: RunningBroker, outbox: Outbox, version: str) -> None:
    """With `confirm = "broker"` rows go out with no server there, and leave the outbox once the broker has them."""
    put(outbox, *range(250))
    with serving(broker) as server, running_session(broker, outbox, confirm="broker", mqtt_version=version) as session:
        assert session.drain(20) == 0
        put(outbox, 250)
        session.notify()
        assert session.drain(20) == 0
        wait_until(lambda: sorted(server.numbers()) == list(range(251)), "all have arrived, once")


def test_unconfirmed_rows_stay_without_a_broker(broker: RunningBroker, outbox: Outbox) -> None:
    """With `confirm = "broker"` nothing leaves the outbox while the broker is away."""
    with running_session(broker, outbox, confirm="broker") as session:
        assert session.drain(0) == 0
        broker.kill()
        put(outbox, 0)
        session.notify()
        assert session.drain(0.3) == 1
        broker.start()
        assert session.drain(20) == 0


def test_mqtt_5_tells_what_is_refused(broker: RunningBroker, outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    """A publication that the access rules forbid is named once, with the reason, and is no confirmation."""
    with running_session(broker, outbox, mqtt_version="5") as session:
        for _ in range(2):
            wait_until(lambda: session._connected, "the device is connected")
            session._publish("moodwire/v1/elsewhere/reading", b"x")
            wait_until(lambda: not session._send_window._messages, "the broker has answered")

    sentence = "does not let this device publish on moodwire/v1/elsewhere/reading: Not authorized"
    assert caplog.text.count(sentence) == 1


def test_a_refused_row_is_not_confirmed(
    broker: RunningBroker, outbox: Outbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With MQTT 5 and `confirm = "broker"`, a record that the access rules forbid stays in the outbox."""
    put(outbox, 0)
    broker.stop()
    rules = tmp_path / "broker" / "acl"
    rules.write_text(rules.read_text().replace("pattern write moodwire/v1/%u/reading\n", ""))
    broker.start()
    with running_session(broker, outbox, confirm="broker", mqtt_version="5") as session:
        wanted = f"does not let this device publish on {topics.topic(DEVICE, 'reading')}"
        wait_until(lambda: wanted in caplog.text, "the device says so")
        assert session.drain(0) == 1


def test_what_a_device_may_not_hear_is_said(tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    """An account that may not read the device's topics is told which, so that nobody wonders why nothing comes."""
    other = {"mqtt_username": "homeassistant", "mqtt_password": ACCOUNTS["homeassistant"]}
    with running_broker(tmp_path / "broker", "amqtt") as broker, running_session(broker, outbox, **other):
        wanted = f"does not let this device hear {topics.topic(DEVICE, 'stored')}"
        wait_until(lambda: wanted in caplog.text, "the device says so")


def test_a_changed_status_is_told_and_kept_over_connections(broker: RunningBroker, outbox: Outbox) -> None:
    """Paused, renamed, with another model: the retained status says so at once, and again after a lost connection."""
    with running_session(broker, outbox) as session:
        with serving(broker) as server:
            wait_until(server.states, "the device is online")
            session.set_status(state="paused", name="Hall", labels=("ANG", "CAL"), model="other-2")
            wait_until(lambda: server.states()[-1] == ("paused", 1), "the device is paused")
            server.say(topics.topic(DEVICE, "status"), replace(STATUS, state="offline"), retain=True)
            wait_until(lambda: server.states()[-1] == ("paused", 1), "a stale will is corrected to paused")
        broker.kill()
        broker.start()
        with serving(broker) as server:
            wait_until(lambda: [state for state, _ in server.states()][-1:] == ["paused"], "it is paused still")
            payload = [payload for topic, payload in server.heard if topic == topics.topic(DEVICE, "status")][-1]
            told = decode(payload, Status)
            assert (told.name, told.labels, told.model) == ("Hall", ("ANG", "CAL"), "other-2")


def test_a_stale_will_of_the_process_before_is_corrected(broker: RunningBroker, outbox: Outbox) -> None:
    """When power came back before the broker noticed that it was gone, the late will does not hide the device."""
    with serving(broker) as server, running_session(broker, outbox):
        wait_until(server.states, "the device is online")

        before = replace(STATUS, boot="f" * 16, state="offline", connection=3)
        server.say(topics.topic(DEVICE, "status"), before, retain=True)

        wait_until(lambda: server.states()[-1] == ("online", 1), "the device corrects it")


def test_another_live_device_with_the_same_id_is_left_alone(broker: RunningBroker, outbox: Outbox) -> None:
    """Two devices with one id do not answer each other's status for ever."""
    with serving(broker) as server, running_session(broker, outbox):
        wait_until(server.states, "the device is online")
        server.say(topics.topic(DEVICE, "status"), replace(STATUS, boot="f" * 16, connection=9), retain=True)
        server.online()  # comes after it, so the device has seen both when it sends
        put(outbox, 0)
        wait_until(server.numbers, "the reading arrives")

        assert server.states() == [("online", 1), ("online", 9)]


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
            with any_broker.client("homeassistant") as assistant:
                assistant.publish(topics.HOME_ASSISTANT_STATUS, b"online", qos=1)
                wait_until(lambda: len(heard[topics.home_assistant(DEVICE)]) == 2, "it is said again")
            session.set_status(name="Hall")
            wait_until(lambda: len(heard[topics.home_assistant(DEVICE)]) == 3, "the new name is said")
            assert json.loads(heard[topics.home_assistant(DEVICE)][-1])["device"]["name"] == "Hall"


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


def test_turning_home_assistant_off_takes_the_device_out(broker: RunningBroker, outbox: Outbox, tmp_path: Path) -> None:
    """At the next start with the setting off, what was announced is cleared from the broker."""
    with running_session(broker, outbox, home_assistant=True, state_dir=tmp_path), at_home(broker) as heard:
        wait_until(lambda: heard.get(topics.home_assistant(DEVICE)), "the announcement is there")
    with at_home(broker) as heard, running_session(broker, outbox, state_dir=tmp_path):
        wait_until(lambda: heard.get(topics.home_assistant(DEVICE), [])[-1:] == [b""], "it is cleared")
        wait_until(lambda: not (tmp_path / "home-assistant").exists(), "the device has noted that")


class Operator:
    """Asks a device over the broker, as the server's account."""

    def __init__(self, client: mqtt.Client, heard: list[tuple[str, bytes]]) -> None:
        self.client = client
        self.heard = heard

    def answers(self, name: topics.CommandName, transaction: str) -> list[CommandResponse]:
        """Return the answers to one transaction."""
        found = [payload for topic, payload in self.heard if topic == topics.command_response(DEVICE, name)]
        responses = [decode(payload, CommandResponse) for payload in found]
        return [response for response in responses if response.transaction == transaction]

    def ask(self, name: topics.CommandName, transaction: str, /, **fields: Any) -> CommandResponse:
        """Send a command and return its next answer."""
        before = len(self.answers(name, transaction))
        payload = json.dumps({"v": 1, "transaction": transaction} | fields)
        self.client.publish(topics.command(DEVICE, name), payload, qos=1)
        return wait_until(lambda: self.answers(name, transaction)[before:], f"{name} is answered")[0]


@contextmanager
def obeying(commands: Commands, broker: RunningBroker, outbox: Outbox) -> Iterator[None]:
    """Run a device that carries out what it is asked."""
    done = threading.Event()
    with running_session(broker, outbox, on_command=commands.put) as session:

        def obey() -> None:
            while not done.is_set():
                commands.wait(0.05)
                if commands.carry_out(session.answer):
                    desired = commands.desired
                    session.set_status(state="paused" if desired.paused else "online", name=desired.name)

        thread = threading.Thread(target=obey)
        thread.start()
        try:
            wait_until(lambda: session._connection.is_listening, "the device listens")
            yield
        finally:
            done.set()
            thread.join()


def test_commands_end_to_end(any_broker: RunningBroker, outbox: Outbox, tmp_path: Path) -> None:
    """The server's account pauses, renames, resumes and re-models a device, and reads each answer."""
    private = bytes(range(32))
    own = bundle.find(bundle.DEFAULT)
    (tmp_path / "packed").write_bytes(packing.pack(own, private))
    settings = DeviceSettings(name="Kitchen", state_dir=tmp_path, model_key=signing.public_key(private))
    commands = Commands(settings, Overrides(), own)
    with serving(any_broker) as server, obeying(commands, any_broker, outbox):
        operator = Operator(server.client, server.heard)
        assert operator.ask("pause", "1").status == "ok"
        wait_until(lambda: server.states()[-1] == ("paused", 1), "the status says paused")
        assert operator.ask("set", "2", name="Hall").status == "ok"
        assert operator.ask("resume", "3").status == "ok"
        assert operator.ask("model", "4", source=str(tmp_path / "packed")).status == "ok"
        assert "the set command is malformed" in str(operator.ask("set", "5", gate_dbfs="loud").error)
        assert operator.ask("pause", "1").status == "ok", "a repeated command is answered again"
        assert not commands.desired.paused, "and done once"
        assert commands.desired.bundle != own


def test_a_retained_command_is_ignored(broker: RunningBroker, outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    """A command that the broker keeps would come at every connect, so it is not carried out at all."""
    commands: list[str] = []
    with serving(broker) as server:
        server.client.publish(topics.command(DEVICE, "pause"), b'{"transaction":"1"}', qos=1, retain=True)
        with running_session(broker, outbox, on_command=lambda name, _payload: commands.append(name)):
            wait_until(lambda: "ignored a retained message on" in caplog.text, "the device says so")
            server.client.publish(topics.command(DEVICE, "resume"), b'{"transaction":"2"}', qos=1)
            wait_until(lambda: commands, "another command comes")

    assert commands == ["resume"]
