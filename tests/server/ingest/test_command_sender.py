"""Commands on their way to the broker: each is published once, and taken when the broker has all of it."""

from typing import NamedTuple, cast

import paho.mqtt.client as mqtt
import pytest
from records import DEVICE

from broker import topics
from broker.topics import CommandName
from server.ingest import command_sender
from server.ingest.command_sender import CommandSender
from server.ingest.connection import Connection
from server.store.command_queue import DueCommand


class Published(NamedTuple):
    """A message that the broker was sent."""

    topic: str
    payload: bytes
    retain: bool


class Broker:
    """Collects what is published, and acknowledges when it is told to."""

    def __init__(self) -> None:
        self.published: list[Published] = []
        self._infos: list[mqtt.MQTTMessageInfo] = []
        self.sender = CommandSender(cast("Connection", self))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> mqtt.MQTTMessageInfo:
        """Take a message."""
        self.published.append(Published(topic, payload, retain))
        self._infos.append(mqtt.MQTTMessageInfo(len(self._infos) + 1))
        self._infos[-1].rc = mqtt.MQTT_ERR_SUCCESS
        return self._infos[-1]

    def acknowledge(self, *numbers: int) -> None:
        """Acknowledge some of the messages."""
        for number in numbers:
            self._infos[number]._set_as_published()


def command(name: CommandName = "pause", transaction: str = "ab") -> DueCommand:
    """Return a command that is due."""
    return DueCommand(transaction, DEVICE, name, b"payload", "00000000000000aa:1")


ERASURE = DueCommand("1-0", DEVICE, "erase", b'{"v":1,"gen":1}', "")


def test_a_command_is_published_once_while_it_is_on_its_way() -> None:
    """It is due at each look until it is noted, and published again only after it was forgotten."""
    broker = Broker()
    sender = broker.sender
    sender.send([command()])
    sender.send([command()])
    assert broker.published == [Published(topics.command(DEVICE, "pause"), b"payload", retain=False)]
    assert sender.taken() == []
    broker.acknowledge(0)
    assert sender.taken() == [command()]
    assert sender.taken() == [command()], "until the store has noted it"
    sender.forget([command()])
    assert sender.taken() == []
    sender.send([command()])
    assert len(broker.published) == 2


def test_an_erasure_is_taken_when_the_broker_has_all_of_it() -> None:
    """The generation is retained, what was retained of the device is cleared, and its status goes last."""
    broker = Broker()
    sender = broker.sender
    sender.send([ERASURE, command()])
    assert broker.published[0] == Published(topics.topic(DEVICE, "generation"), ERASURE.payload, retain=True)
    cleared = [topics.home_assistant(DEVICE), *(topics.topic(DEVICE, kind) for kind in ("state", "health", "status"))]
    assert broker.published[1:5] == [Published(topic, b"", retain=True) for topic in cleared]
    broker.acknowledge(0, 1, 2, 3, 5)
    assert sender.taken() == [command()]
    broker.acknowledge(4)
    assert sender.taken() == [ERASURE, command()]


def test_what_the_broker_does_not_take_in_time_is_published_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an acknowledgement it is forgotten, so that it goes again if it is still due."""
    monkeypatch.setattr(command_sender, "_TIMEOUT_S", 0.0)
    broker = Broker()
    sender = broker.sender
    sender.send([command()])
    assert sender.taken() == []
    sender.send([command()])
    broker.acknowledge(1)
    assert sender.taken() == [command()]
    assert len(broker.published) == 2


def test_what_paho_does_not_send_is_not_taken() -> None:
    """A message for which paho has no room, or no connection, does not count as taken."""
    broker = Broker()
    sender = broker.sender
    sender.send([command()])
    broker._infos[0].rc = mqtt.MQTT_ERR_QUEUE_SIZE
    assert sender.taken() == []
    broker._infos[0].rc = mqtt.MQTT_ERR_NO_CONN
    assert sender.taken() == []
