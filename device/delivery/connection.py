"""The device's MQTT connection: TLS, login, last will, reconnects; `session.py` knows what is said over it."""

import logging
import socket
import ssl
import sys
import time
from typing import Any, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTProtocolVersion

from common import mqtt, urls
from common.backoff import Backoff
from common.outage import Outage
from device.settings import DeviceSettings

log = logging.getLogger(__name__)

FIRST_RECONNECT_S, LONGEST_RECONNECT_S = 5.0, 60.0
"""The first span is wide, because a fleet loses its broker together."""
CONNECT_TIMEOUT_S = 20.0
"""For each step until the connection stands, a TLS handshake above all. Of 10,000 devices that come at once, the last
waits so long for a broker that does 500 handshakes a second; whoever gives up sooner lets it work in vain."""


class Events(Protocol):
    """Takes what happens on a connection. All of it is called in the network thread and must be quick."""

    def last_will(self) -> tuple[str, bytes]:
        """Return topic and payload of the last will of the connection that is about to be made."""

    def on_connected(self) -> None:
        """The connection is up."""

    def on_disconnected(self) -> None:
        """The connection is gone."""

    def on_message(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Take a message; `retained` is true for one that the broker had kept."""

    def on_acknowledged(self, packet_id: int, refusal: str | None) -> None:
        """The broker has acknowledged a publication, or refused it; must not wait for who publishes."""


class Connection:
    """Kept up in the background from `start` to `stop`; the log says once when it is lost and once when it is back.

    Args:
        settings: Where the broker is, and how to log in.
        client_id: MQTT client identifier.
        username: Empty for none.
        events: Takes what happens.

    Raises:
        ValueError: the broker's URL, the CA file or the device's certificate cannot be used.
    """

    def __init__(self, settings: DeviceSettings, client_id: str, username: str, events: Events) -> None:
        self._events = events
        self._broker = mqtt.parse_url(settings.mqtt_url)
        version = mqtt.VERSIONS[settings.mqtt_version]
        # MQTT 5 keeps no session unless one asks for it; MQTT 3.1.1 must be told not to.
        clean = None if version == MQTTProtocolVersion.MQTTv5 else True
        if not self._broker.tls and (settings.mqtt_ca_file or settings.mqtt_cert_file):
            raise ValueError(
                f"mqtt_url {urls.readable(settings.mqtt_url)!r} has no TLS, but a certificate is set; use mqtts://"
            )
        tls = mqtt.tls_context(*settings.mqtt_files) if self._broker.tls else None
        self._client = mqtt.client(
            username, settings.mqtt_password, tls, client_id=client_id, clean_session=clean, protocol=version
        )
        self._client.connect_timeout = CONNECT_TIMEOUT_S
        self._client.on_pre_connect = self._on_pre_connect
        self._client.on_socket_open = _disable_nagle
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._subscribed: list[str] = []
        self.is_listening = False
        """Whether the broker has taken the subscriptions of this connection."""
        self._refused: set[str] = set()
        self._broker_answered = False
        self._outage = Outage(log)
        self._stopping = False
        self._backoff = Backoff(FIRST_RECONNECT_S, LONGEST_RECONNECT_S, least=0)
        self._up_since_s: float | None = None

    def start(self) -> None:
        """Connect, and go on trying while that fails."""
        self._client.connect_async(self._broker.host, self._broker.port)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect."""
        self._stopping = True
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, topics: list[str]) -> None:
        """Subscribe at QoS 1; a refused topic is logged once, if the broker tells.

        Mosquitto 2.0 does not tell: it takes every subscription and then delivers nothing.
        """
        self._subscribed = topics
        self._client.subscribe([(topic, 1) for topic in topics])

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int:
        """Hand a message to the network thread and return its packet identifier.

        One of QoS 1 goes out later when there is no connection now.
        """
        return self._client.publish(topic, payload, qos=qos, retain=retain).mid

    def publish_last(self, topic: str, payload: bytes, timeout_s: float) -> None:
        """Publish a last retained message and wait for the broker to have it."""
        info = self._client.publish(topic, payload, qos=1, retain=True)
        if info.rc == paho.MQTT_ERR_SUCCESS:
            info.wait_for_publish(timeout_s)

    def report_refused(self, topic: str, action: str, reason: str) -> None:
        """Log what the broker does not let this device do with a topic, once for each topic."""
        if topic not in self._refused:
            self._refused.add(topic)
            log.warning("%s does not let this device %s %s: %s", self._broker, action, topic, reason)

    def _on_pre_connect(self, _client: paho.Client, _userdata: Any) -> None:
        self._broker_answered = False
        topic, payload = self._events.last_will()
        self._client.will_set(topic, payload, qos=1, retain=True)

    def _on_connect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._broker_answered = True
        if reason.is_failure:
            self._lose(f"{self._broker} refuses this device: {reason}")
            return
        if self._outage.is_on:
            self._outage.end("connected again to %s", self._broker)
        else:
            log.info("connected to %s", self._broker)
        self._up_since_s = time.monotonic()
        self._events.on_connected()

    def _on_connect_fail(self, _client: Any, _userdata: Any) -> None:
        # paho calls this while it handles the error, and passes nothing on.
        self._lose(f"{self._broker} cannot be reached{_because(sys.exc_info()[1])}")
        self._back_off()

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self._up_since_s is not None and time.monotonic() - self._up_since_s >= LONGEST_RECONNECT_S:
            self._backoff.reset()  # not sooner: some brokers accept a connection only to close it
        self._up_since_s = None
        self.is_listening = False
        self._back_off()
        self._events.on_disconnected()
        if self._stopping:
            return
        if self._broker_answered:
            self._lose(f"the connection to {self._broker} is lost: {reason}")
        else:
            self._lose(
                f"{self._broker} closes the connection without an answer; "
                "use mqtts:// if it has TLS, and set mqtt_cert_file if it wants a certificate"
            )

    def _back_off(self) -> None:
        """Set the pause before the next try; full jitter keeps a fleet from coming back all at once.

        paho would double the pause, without jitter; set anew before each try, it is waited as it is.
        """
        pause_s = self._backoff.next_s()
        self._client.reconnect_delay_set(pause_s, pause_s)  # type: ignore[arg-type] # it takes fractions as well

    def _on_subscribe(self, _client: Any, _userdata: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        for topic, reason in zip(self._subscribed, reasons, strict=False):
            if reason.is_failure:
                self.report_refused(topic, "subscribe to", str(reason))
        self.is_listening = True

    def _on_publish(self, _client: Any, _userdata: Any, mid: int, reason: Any, _properties: Any) -> None:
        self._events.on_acknowledged(mid, str(reason) if reason.is_failure else None)

    def _on_message(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        self._events.on_message(message.topic, bytes(message.payload), retained=message.retain)

    def _lose(self, what: str) -> None:
        self._outage.begin("%s; readings wait in the outbox, trying again", what)


def _because(error: BaseException | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f": its certificate is not trusted ({error.verify_message}); name the broker in mqtt_url as its "
            "certificate does, and set mqtt_ca_file to the authority that signed it"
        )
    if isinstance(error, OSError):
        return f": {error.strerror or error}"
    return ""


def _disable_nagle(_client: paho.Client, _userdata: Any, stream: Any) -> None:
    """Turn off Nagle's algorithm: it lets a small message wait up to 40 ms for the answer to the one before."""
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
