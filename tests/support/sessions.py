"""A device's session on a real broker, and the server on the other side, controlled by the test."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as mqtt
from brokers import ACCOUNTS, DEVICE, RunningBroker
from patience import REPLY_S
from records import reading
from services import wait_until

from broker import topics
from broker.batches import split
from broker.messages import Message, Reading, ServerStatus, Status, decode, encode
from broker.topics import CommandName
from device.delivery.outbox import Outbox
from device.delivery.row import Row
from device.delivery.session import Session
from device.delivery.timestamps import Stamp
from device.settings import DeviceSettings

STATUS = Status(
    state="online",
    boot="0123456789abcdef",
    connection=0,
    name="Kitchen",
    labels=("ANG", "HAP", "NEU"),
    model="ang-hap-neu-1",
    version="0.1.0",
)


class Server:
    """Keeps every message of the device, and publishes what a test wants."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.client: mqtt.Client

    def publish(self, topic: str, message: Message, *, retain: bool = False) -> None:
        """Publish a message."""
        self.client.publish(topic, encode(message), qos=1, retain=retain).wait_for_publish(REPLY_S)

    def online(self, state: str = "online") -> None:
        """Publish the server's status."""
        self.publish(topics.SERVER_STATUS, ServerStatus(state=state), retain=True)  # type: ignore[arg-type]

    def numbers(self) -> list[int]:
        """Return the sequence numbers of all readings received, in order."""
        payloads = [payload for topic, payload in self.heard if topic.endswith("/reading")]
        return [decode(part, Reading).seq for payload in payloads for part in split(payload)]

    def states(self) -> list[tuple[str, int]]:
        """Return the device's states with their connection numbers, in order."""
        payloads = [payload for topic, payload in self.heard if payload and topic == topics.topic(DEVICE, "status")]
        return [(status.state, status.connection) for status in (decode(payload, Status) for payload in payloads)]


@contextmanager
def serving(broker: RunningBroker) -> Iterator[Server]:
    """Connect a server."""
    server = Server()
    with broker.client("server", lambda *message: server.heard.append(message)) as client:
        server.client = client
        confirmed: list[bool] = []
        client.on_subscribe = lambda *_: confirmed.append(True)
        client.subscribe(f"{topics.ROOT}/#", qos=1)
        wait_until(lambda: confirmed, "the server listens")
        yield server


def ignore(_name: CommandName, _payload: bytes) -> None:
    """Ignore a command."""


@contextmanager
def running_session(
    broker: RunningBroker,
    outbox: Outbox,
    on_command: Callable[[CommandName, bytes], None] = ignore,
    **changes: Any,
) -> Iterator[Session]:
    """Run a device's session while the context lasts."""
    settings = DeviceSettings(**{"mqtt_url": broker.url, "mqtt_password": ACCOUNTS[DEVICE]} | changes)
    session = Session(settings, DEVICE, STATUS, outbox, on_command)
    session.start()
    try:
        yield session
    finally:
        session.stop()


def put(outbox: Outbox, *numbers: int) -> None:
    """Put readings with these sequence numbers."""
    for seq in numbers:
        at = time.time_ns() // 1_000_000
        outbox.put(Row.of(reading(seq, at, boot=STATUS.boot), Stamp(at, synced=True, held_ms=None, kernel_boot="a")))
