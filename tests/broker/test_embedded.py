"""The brokers that come along: who may speak and listen where."""

import stat
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from brokers import ACCOUNTS, DEVICE, OTHER_DEVICE, RunningBroker
from patience import REPLY_S
from services import wait_until

from broker import embedded, topics


def test_a_device_speaks_and_hears_under_its_own_id_only(any_broker: RunningBroker) -> None:
    """What a device publishes under another id is dropped, and what is for another does not reach it."""
    at_server: list[tuple[str, bytes]] = []
    at_device: list[tuple[str, bytes]] = []
    with (
        any_broker.client("server", lambda *message: at_server.append(message)) as server,
        any_broker.client(DEVICE, lambda *message: at_device.append(message)) as device,
    ):
        _subscribe(server, topics.subscription("reading"))
        _subscribe(device, topics.topic(DEVICE, "stored"))
        server.publish(topics.topic(OTHER_DEVICE, "stored"), b"not for you", qos=1)
        server.publish(topics.topic(DEVICE, "stored"), b"for you", qos=1)
        wait_until(lambda: at_device, "the device hears something")
        # Mosquitto 2.0.11 closes the connection after a denied publish; the client comes back by itself.
        device.publish(topics.topic(OTHER_DEVICE, "reading"), b"foreign", qos=1)
        device.publish(topics.topic(DEVICE, "reading"), b"own", qos=1)
        wait_until(lambda: at_server, "the server hears something")

    assert set(at_server) == {(topics.topic(DEVICE, "reading"), b"own")}
    assert at_device == [(topics.topic(DEVICE, "stored"), b"for you")]


def test_home_automation_reads_what_is_for_it_and_the_server_clears_it(any_broker: RunningBroker) -> None:
    """A device's announcement and live state reach home automation, and the server may take both back."""
    at_home: list[tuple[str, bytes]] = []
    own = [topics.home_assistant(DEVICE), topics.topic(DEVICE, "state")]
    with (
        any_broker.client("server") as server,
        any_broker.client("homeassistant", lambda *message: at_home.append(message)) as home,
        any_broker.client(DEVICE) as device,
    ):
        _subscribe(home, "homeassistant/#")
        _subscribe(home, "moodwire/v1/+/state")
        for topic in own:
            device.publish(topic, b"here", qos=1, retain=True).wait_for_publish(REPLY_S)
        wait_until(lambda: len(at_home) == 2, "both are heard")
        for topic in own:
            server.publish(topic, b"", qos=1, retain=True).wait_for_publish(REPLY_S)
        wait_until(lambda: len(at_home) == 4, "both are cleared")
        device.publish(topics.home_assistant(OTHER_DEVICE), b"foreign", qos=1).wait_for_publish(REPLY_S)
        server.publish(topics.topic(DEVICE, "state"), b"last", qos=1)
        wait_until(lambda: at_home[-1][1] == b"last", "nothing else comes")

    assert sorted(at_home) == sorted([(t, p) for t in own for p in (b"here", b"")] + [(own[1], b"last")])


COMMANDS = {topics.command(DEVICE, name) for name in topics.COMMANDS}
FORBIDDEN = (
    *(topics.topic(DEVICE, kind) for kind in topics.FROM_DEVICE),
    *(topics.topic(DEVICE, kind) for kind in ("stored", "generation", "state")),
    topics.command(DEVICE, "pause").replace("pause", "erase"),
    topics.SERVER_STATUS,
    topics.home_assistant(DEVICE),
)


def test_home_automation_commands_devices_and_does_nothing_else(any_broker: RunningBroker) -> None:
    """Its account reaches a device with each command; what only devices or the server may say is dropped."""
    at_server: list[tuple[str, bytes]] = []
    at_device: list[tuple[str, bytes]] = []
    with (
        any_broker.client("server", lambda *message: at_server.append(message)) as server,
        any_broker.client(DEVICE, lambda *message: at_device.append(message)) as device,
    ):
        for filter_ in (f"{topics.ROOT}/#", topics.home_assistant("+")):
            _subscribe(server, filter_)
        for topic in COMMANDS:
            _subscribe(device, topic)
        for topic in (*FORBIDDEN, *COMMANDS):
            # One connection each: Mosquitto 2.0.11 ends it after a denied publish.
            with any_broker.client("homeassistant") as home:
                home.publish(topic, b"from home", qos=1).wait_for_publish(REPLY_S)
        wait_until(lambda: len(at_device) == len(COMMANDS), "the device hears the commands")
        server.publish(topics.SERVER_STATUS, b"last", qos=1)
        wait_until(lambda: (topics.SERVER_STATUS, b"last") in at_server, "nothing else comes")

    assert {topic for topic, payload in at_server if payload == b"from home"} == COMMANDS
    assert set(at_device) == {(topic, b"from home") for topic in COMMANDS}


@pytest.mark.parametrize(("user", "password"), [(DEVICE, "wrong"), ("stranger", "x"), (None, None)])
def test_strangers_are_not_let_in(any_broker: RunningBroker, user: str | None, password: str | None) -> None:
    """Without the right password there is no connection."""
    refused: list[bool] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_connect = lambda _client, _data, _flags, reason, _properties: refused.append(reason.is_failure)
    client.on_disconnect = lambda *_: refused.append(True)
    if user:
        client.username_pw_set(user, password)
    client.connect("127.0.0.1", any_broker.port)
    client.loop_start()
    wait_until(lambda: refused, "the broker answers")
    client.disconnect()
    client.loop_stop()

    assert refused[0] is True


def test_no_password_is_kept_in_the_clear(tmp_path: Path) -> None:
    """Neither broker's files hold a password, and only their owner can read them."""
    embedded.write_mosquitto(tmp_path, "127.0.0.1", 1, ACCOUNTS)
    embedded.prepare_amqtt(tmp_path, "127.0.0.1", 1, ACCOUNTS)

    for file in filter(Path.is_file, tmp_path.iterdir()):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        for password in ACCOUNTS.values():
            assert password not in file.read_text(), file


def _subscribe(client: mqtt.Client, topic: str) -> None:
    confirmed: list[bool] = []
    client.on_subscribe = lambda *_: confirmed.append(True)
    client.subscribe(topic, qos=1)
    wait_until(lambda: confirmed, f"{topic} is subscribed")
