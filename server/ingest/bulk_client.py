"""An MQTT client that hands out, acknowledges and sends messages in bulk: paho over an `MqttSocket`."""

import socket
from collections.abc import Iterable

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTProtocolVersion

from server.ingest.delivery import Delivery
from server.ingest.mqtt_socket import MqttSocket


class BulkClient(mqtt.Client):
    """A paho client for one thread that hands out and acknowledges messages in bulk, and has no use for `on_message`.

    The caller waits until `socket()` has something to read, or something to write after `flush` returned False.
    """

    _connections = 0

    def _create_socket(self) -> MqttSocket:
        """Connect as paho does, TLS included, and put an `MqttSocket` over it."""
        inner = super()._create_socket()
        if not isinstance(inner, socket.socket):
            raise TypeError(f"paho connected a {type(inner).__name__}: use the transport tcp")
        self._connections += 1
        return MqttSocket(inner, self._connections, has_properties=self.protocol == MQTTProtocolVersion.MQTTv5)

    def deliveries(self) -> list[Delivery]:
        """Read what has come, let paho handle its packets, and return the messages."""
        sock = self._mqtt_socket
        if sock is None:
            return []
        found = sock.deliveries()
        while sock.is_for_paho and self._mqtt_socket is sock:
            self.loop_read()
        return found

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Acknowledge messages with the next `flush`, as far as they came over this connection."""
        if sock := self._mqtt_socket:
            sock.acknowledge(one.packet_id for one in deliveries if one.qos and one.connection == sock.connection)

    def publish_once(self, topic: str, payload: bytes) -> None:
        """Send a message with QoS 0 with the next `flush`; without a connection it is lost."""
        if sock := self._mqtt_socket:
            sock.publish(topic, payload)

    def flush(self) -> bool:
        """Send what the socket takes; return whether that was all."""
        self.loop_write()
        sock = self._mqtt_socket
        return sock is None or sock.flush()

    def pending(self) -> int:
        """Return how many bytes were read from the connection that `select` does not know of."""
        sock = self._mqtt_socket
        return sock.pending() if sock else 0

    @property
    def _mqtt_socket(self) -> MqttSocket | None:
        sock = self.socket()
        return sock if isinstance(sock, MqttSocket) else None
