"""Ingest's connection to the broker: a lasting session, acknowledged by hand, and the server's own status."""

import logging
import secrets
import ssl
import threading
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from broker import endpoint, messages, topics
from broker.messages import ServerStatus
from server.problems import UnusableError
from server.settings import ServerSettings

log = logging.getLogger(__name__)

_MOST_UNACKNOWLEDGED = 1000
_GOODBYE_S = 2.0


class Arrived(NamedTuple):
    """A message as the broker delivered it."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    connection: int
    """Which connection brought it; an acknowledgement on another one would mean nothing, or something else."""


class Link:
    """The connection to the broker, kept up in the background from `start` to `stop`.

    Args:
        settings: Where the broker is and how to log in.
        on_arrival: Called in the network thread for each message; must be quick.

    Raises:
        UnusableError: the broker's URL or the certificate is not usable.
    """

    def __init__(self, settings: ServerSettings, on_arrival: Callable[[Arrived], None]) -> None:
        try:
            self._endpoint = endpoint.parse(settings.mqtt_url)
        except ValueError as error:
            raise UnusableError(str(error)) from error
        self._on_arrival = on_arrival
        self._lock = threading.Lock()
        self._connection = 0
        self._subscribed = False
        self._announced: str | None = None
        self._said_lost = False
        self._stopping = False
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.mqtt_client_id,
            clean_session=False,
            manual_ack=True,
        )
        if settings.mqtt_username:
            client.username_pw_set(settings.mqtt_username, settings.mqtt_password or None)
        if self._endpoint.tls:
            client.tls_set_context(_tls(settings.mqtt_ca_file))
        client.max_inflight_messages_set(_MOST_UNACKNOWLEDGED)
        client.reconnect_delay_set(1, 8 + secrets.randbelow(8))
        client.will_set(topics.SERVER_STATUS, messages.encode(ServerStatus(state="offline")), qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._client = client

    @property
    def is_up(self) -> bool:
        """Whether the broker has taken our subscriptions on this connection."""
        return self._subscribed

    def start(self) -> None:
        """Connect, and go on trying while that fails."""
        self._client.connect_async(self._endpoint.host, self._endpoint.port, keepalive=30)
        self._client.loop_start()

    def stop(self) -> None:
        """Say that the server goes, and disconnect; the broker keeps what comes meanwhile."""
        self._stopping = True
        goodbye = self.announce("offline")
        if goodbye is not None and goodbye.rc == mqtt.MQTT_ERR_SUCCESS:
            goodbye.wait_for_publish(_GOODBYE_S)
        self._client.disconnect()
        self._client.loop_stop()

    def announce(self, state: Literal["online", "offline"]) -> mqtt.MQTTMessageInfo | None:
        """Publish the server's status if the broker has not heard it on this connection."""
        with self._lock:
            if not self._subscribed or self._announced == state:
                return None
            self._announced = state
        log.info("the server is %s", state)
        return self.publish(topics.SERVER_STATUS, messages.encode(ServerStatus(state=state)), retain=True)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> mqtt.MQTTMessageInfo:
        """Hand a message to the network thread; what a lost connection swallows, the device asks for again."""
        return self._client.publish(topic, payload, qos=1, retain=retain)

    def acknowledge(self, arrived: Arrived) -> None:
        """Tell the broker that it can forget a message."""
        if arrived.connection == self._connection:
            self._client.ack(arrived.mid, arrived.qos)

    def _on_connect(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._say_lost(f"the broker at {self._place()} refuses ingest: {reason}")
            return
        with self._lock:
            self._connection += 1
            self._announced = None
        client.subscribe([(topics.subscription(kind), 0 if kind == "health" else 1) for kind in topics.FROM_DEVICE])

    def _on_subscribe(self, _client: Any, _userdata: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        refused = [
            topics.subscription(kind)
            for kind, reason in zip(topics.FROM_DEVICE, reasons, strict=True)
            if reason.is_failure
        ]
        if refused:
            self._say_lost(f"the broker at {self._place()} does not let ingest read {', '.join(refused)}")
            return
        log.info("connected to the broker at %s", self._place())
        self._said_lost = False
        self._subscribed = True

    def _on_connect_fail(self, _client: Any, _userdata: Any) -> None:
        self._say_lost(f"the broker at {self._place()} cannot be reached")

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._subscribed = False
        if not self._stopping:
            self._say_lost(f"the connection to the broker at {self._place()} is lost: {reason}")

    def _on_message(self, _client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        arrived = Arrived(message.topic, bytes(message.payload), message.mid, message.qos, self._connection)
        if message.topic == topics.SERVER_STATUS:  # our own words, which the subscription to status matches
            self.acknowledge(arrived)
        else:
            self._on_arrival(arrived)

    def _say_lost(self, what: str) -> None:
        if not self._said_lost:
            log.warning("%s; trying again until it works", what)
            self._said_lost = True

    def _place(self) -> str:
        return f"{self._endpoint.host}:{self._endpoint.port}"


def _tls(ca_file: str) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities, or only the given one."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise UnusableError(f"mqtt_ca_file {ca_file!r} is no certificate that can be read: {error}") from error
