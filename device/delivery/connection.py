"""The device's MQTT connection: TLS, login, last will, reconnects; `device/delivery/session.py` knows what is said."""

import logging
import random
import socket
import ssl
import sys
import threading
import time
from collections import deque
from typing import Any, NamedTuple, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTProtocolVersion

from common import mqtt
from device.settings import DeviceSettings

log = logging.getLogger(__name__)

LONGEST_RECONNECT_S = 60.0


class Acknowledged(NamedTuple):
    """What the broker said to a message."""

    mid: int
    topic: str
    refused: bool


class Conversation(Protocol):
    """What is said over a connection. All of it is called in the network thread and must be quick."""

    def will(self) -> tuple[str, bytes]:
        """Return topic and payload of the last will of the connection that is about to be made."""

    def begin(self) -> None:
        """The connection is up."""

    def end(self) -> None:
        """The connection is gone."""

    def hear(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Take a message; `retained` is true for one that the broker had kept."""

    def acknowledged(self) -> None:
        """There is something new in `Connection.acknowledgements`."""


class Connection:
    """Kept up in the background from `start` to `stop`; says once when it is lost and once when it is back.

    Raises:
        ValueError: the broker's URL, the CA file or the device's certificate cannot be used.
    """

    def __init__(self, settings: DeviceSettings, client_id: str, account: str, conversation: Conversation) -> None:
        self._conversation = conversation
        self._endpoint = mqtt.parse_url(settings.mqtt_url)
        version = mqtt.VERSIONS[settings.mqtt_version]
        # MQTT 5 has no lasting session unless one asks for it; MQTT 3.1.1 has to be told.
        clean = None if version == MQTTProtocolVersion.MQTTv5 else True
        if not self._endpoint.tls and (settings.mqtt_ca_file or settings.mqtt_cert_file):
            raise ValueError(f"mqtt_url {settings.mqtt_url!r} has no TLS, but a certificate is set; use mqtts://")
        tls = mqtt.tls_context(*settings.mqtt_files) if self._endpoint.tls else None
        self._client = mqtt.client(
            account, settings.mqtt_password, tls, client_id=client_id, clean_session=clean, protocol=version
        )
        self._client.on_pre_connect = self._on_pre_connect
        self._client.on_socket_open = _send_at_once
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._publishing = threading.Lock()
        self._unacknowledged: dict[int, str] = {}
        self._answers: deque[tuple[int, str | None]] = deque()
        self._subscribed: list[str] = []
        self.is_listening = False
        """Whether the broker has taken the subscriptions of this connection."""
        self._refused: set[str] = set()
        self._greeted = False
        self._said_lost = False
        self._stopping = False
        self._failures = 0
        self._up_since_s: float | None = None

    def start(self) -> None:
        """Connect, and go on trying while that fails."""
        self._client.connect_async(self._endpoint.host, self._endpoint.port)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect."""
        self._stopping = True
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, names: list[str]) -> None:
        """Ask for messages; what the broker does not let this device hear is said once, if it tells.

        Mosquitto 2.0 does not: it takes every subscription and then delivers nothing.
        """
        self._subscribed = names
        self._client.subscribe([(name, 1) for name in names])

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int:
        """Hand a message to the network thread and return its number.

        One of QoS 1 goes out later when there is no connection now.
        """
        with self._publishing:
            info = self._client.publish(topic, payload, qos=qos, retain=retain)
            if qos:
                self._unacknowledged[info.mid] = topic
        return info.mid

    def say_goodbye(self, topic: str, payload: bytes, timeout_s: float) -> None:
        """Publish a last retained message and wait for the broker to have it."""
        info = self._client.publish(topic, payload, qos=1, retain=True)
        if info.rc == paho.MQTT_ERR_SUCCESS:
            info.wait_for_publish(timeout_s)

    @property
    def unacknowledged(self) -> int:
        """Messages of QoS 1 that the broker has not answered."""
        return len(self._unacknowledged)

    @property
    def has_acknowledgements(self) -> bool:
        """Whether `acknowledgements` would return something."""
        return bool(self._answers)

    def acknowledgements(self) -> list[Acknowledged]:
        """Return what the broker has answered since the last call; a refused topic is said once."""
        found: list[Acknowledged] = []
        # The lock is not for the queue: an answer may be here before `publish` has noted down what it answers.
        with self._publishing:
            while self._answers:
                mid, refusal = self._answers.popleft()
                topic = self._unacknowledged.pop(mid, None)
                if topic is not None:
                    found.append(Acknowledged(mid, topic, refused=refusal is not None))
                if topic is not None and refusal is not None:
                    self._say_refused(topic, f"publish on {topic}", refusal)
        return found

    def _on_pre_connect(self, _client: paho.Client, _userdata: Any) -> None:
        self._greeted = False
        topic, payload = self._conversation.will()
        self._client.will_set(topic, payload, qos=1, retain=True)

    def _on_connect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._greeted = True
        if reason.is_failure:
            self._say_lost(f"{self._place()} refuses this device: {reason}")
            return
        log.info("%s %s", "connected again to" if self._said_lost else "connected to", self._place())
        self._said_lost = False
        self._up_since_s = time.monotonic()
        self._conversation.begin()

    def _on_connect_fail(self, _client: Any, _userdata: Any) -> None:
        # paho calls this while it handles the error, and passes nothing on.
        self._say_lost(f"{self._place()} cannot be reached{_because(sys.exc_info()[1])}")
        self._back_off()

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self._up_since_s is not None and time.monotonic() - self._up_since_s >= LONGEST_RECONNECT_S:
            self._failures = 0  # not at once: a broker that lets in and throws out must not be hammered either
        self._up_since_s = None
        self.is_listening = False
        self._back_off()
        self._conversation.end()
        if self._stopping:
            return
        if self._greeted:
            self._say_lost(f"the connection to {self._place()} is lost: {reason}")
        else:
            self._say_lost(
                f"{self._place()} closes the connection without an answer; "
                "if it has TLS, it wants mqtts://, and perhaps a certificate (mqtt_cert_file)"
            )

    def _back_off(self) -> None:
        """Wait a random time before the next try, at most 1, 2, 4 … 60 s, so that a fleet does not come back at once.

        paho doubles what it is told and has no jitter; told anew before each wait, it waits exactly that.
        """
        pause_s = random.uniform(0, min(2.0**self._failures, LONGEST_RECONNECT_S))  # noqa: S311 - protects nothing
        self._failures = min(self._failures + 1, 6)
        self._client.reconnect_delay_set(pause_s, pause_s)  # type: ignore[arg-type] # it takes fractions as well

    def _on_subscribe(self, _client: Any, _userdata: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        for name, reason in zip(self._subscribed, reasons, strict=False):
            if reason.is_failure:
                self._say_refused(name, f"hear {name}", str(reason))
        self.is_listening = True

    def _on_publish(self, _client: Any, _userdata: Any, mid: int, reason: Any, _properties: Any) -> None:
        # paho holds a lock here that `publish` needs, so nothing here may wait for `_publishing`.
        self._answers.append((mid, str(reason) if reason.is_failure else None))
        self._conversation.acknowledged()

    def _on_message(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        self._conversation.hear(message.topic, bytes(message.payload), retained=message.retain)

    def _say_lost(self, what: str) -> None:
        if not self._said_lost:
            log.warning("%s; readings wait in the outbox, trying again", what)
            self._said_lost = True

    def _say_refused(self, topic: str, what: str, reason: str) -> None:
        if topic not in self._refused:
            self._refused.add(topic)
            log.warning("%s does not let this device %s: %s", self._place(), what, reason)

    def _place(self) -> str:
        return f"the broker at {self._endpoint.host}:{self._endpoint.port}"


def _because(error: BaseException | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f": its certificate is not trusted ({error.verify_message}); mqtt_url must name the broker as its "
            "certificate does, and mqtt_ca_file the authority that signed it"
        )
    if isinstance(error, OSError):
        return f": {error.strerror or error}"
    return ""


def _send_at_once(_client: paho.Client, _userdata: Any, stream: Any) -> None:
    """Turn Nagle's algorithm off: it lets a small message wait up to 40 ms for the answer to the one before."""
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
