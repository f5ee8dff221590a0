"""Paho as it comes, in the place of `BulkClient`: shows what that is worth. Used by `trials.ingest_speed`."""

from collections.abc import Iterable
from typing import Any

import paho.mqtt.client as mqtt

from server.ingest.delivery import Delivery

_MAX_PER_READ = 600


class PlainClient(mqtt.Client):
    """A client with the methods of `BulkClient` that leaves all reading, writing and acknowledging to paho."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._arrived: list[Delivery] = []
        self._connections = 0
        self.on_message = self._keep
        self.on_socket_open = self._count

    def _keep(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        one = Delivery(message.topic, bytes(message.payload), message.mid, message.qos, self._connections)
        self._arrived.append(one)

    def _count(self, _client: mqtt.Client, _userdata: Any, _socket: Any) -> None:
        self._connections += 1

    def deliveries(self) -> list[Delivery]:
        """Let paho read until it finds no message, and return those it found."""
        count = -1
        while count < len(self._arrived) < _MAX_PER_READ:
            count = len(self._arrived)
            self.loop_read()
        found, self._arrived = self._arrived, []
        return found

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Acknowledge messages at once, each with a call to the system."""
        for one in deliveries:
            if one.qos and one.connection == self._connections:
                self.ack(one.packet_id, one.qos)

    def publish_once(self, topic: str, payload: bytes) -> None:
        """Send a message with QoS 0 at once."""
        self.publish(topic, payload)

    def flush(self) -> bool:
        """Send what the socket takes; return whether that was all."""
        self.loop_write()
        return not self.want_write()

    def pending(self) -> int:
        """Return 0: the trial has no TLS."""
        return 0
