"""Ingest's connection to the broker: a lasting session, acknowledged by hand, and the server's own status."""

import contextlib
import logging
import secrets
import select
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from broker import messages, topics
from broker.messages import ServerStatus, WireError
from common.mqtt import VERSIONS
from server import mqtt_endpoint
from server.errors import UnusableError
from server.ingest.mqtt_socket import Publish, Stream, context
from server.settings import ServerSettings

log = logging.getLogger(__name__)

_MOST_UNACKNOWLEDGED = 2000
_GOODBYE_S = 2.0
_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 8.0
_SESSION_LIVES_S = 86_400
"""So long an MQTT 5 broker keeps what comes for an ingest that is away; devices send the rest again."""
_SHARED = tuple(kind for kind in topics.FROM_DEVICE if kind != "status")
"""What several workers divide among them; a shared subscription would not get a status that was retained before."""


class Arrived(NamedTuple):
    """A message as the broker delivered it."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    connection: int
    """Which connection brought it; an acknowledgement on another one would mean nothing, or something else."""


class Link:
    """The connection to the broker, kept up as long as `turn` is called again and again; all by one thread.

    Args:
        settings: Where the broker is, how to log in, and whether to share the work with others.
        on_arrival: Called for each message; must be quick.

    Raises:
        UnusableError: the broker's URL, the certificate, the version or the name of the share is not usable.
    """

    def __init__(self, settings: ServerSettings, on_arrival: Callable[[Arrived], None]) -> None:
        self._endpoint = mqtt_endpoint.endpoint(settings)
        version = _version(settings)
        is_5 = version == MQTTProtocolVersion.MQTTv5
        self._filters = [
            (_filter(kind, settings.mqtt_share), 0 if kind == "health" else 1) for kind in topics.FROM_DEVICE
        ]
        self._shares = bool(settings.mqtt_share)
        self._on_arrival = on_arrival
        self._connection = 0
        self._subscribed = False
        self._announced: str | None = None
        self._said_lost = False
        self._stopping = False
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.mqtt_client_id,
            clean_session=None if is_5 else False,
            protocol=version,
            manual_ack=True,
        )
        if settings.mqtt_username:
            client.username_pw_set(settings.mqtt_username, settings.mqtt_password or None)
        client.tls_set_context(context(mqtt_endpoint.tls(settings), has_properties=is_5))
        client.max_inflight_messages_set(_MOST_UNACKNOWLEDGED)
        client.will_set(topics.SERVER_STATUS, messages.encode(ServerStatus(state="offline")), qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.connect_async(
            self._endpoint.host,
            self._endpoint.port,
            keepalive=30,
            clean_start=False if is_5 else mqtt.MQTT_CLEAN_START_FIRST_ONLY,
            properties=_lasting() if is_5 else None,
        )
        self._client = client
        self._retry_s = _FIRST_RETRY_S
        self._next_try_s = 0.0
        self._bell, self._button = socket.socketpair()
        self._bell.settimeout(0)
        self._button.settimeout(0)

    @property
    def is_up(self) -> bool:
        """Whether the broker has taken our subscriptions on this connection."""
        return self._subscribed

    def turn(self, timeout_s: float) -> None:
        """Send and receive what there is, after waiting up to so long for it or for `wake`; connect if need be."""
        stream = self._stream
        if stream is None and time.monotonic() >= self._next_try_s:
            self._connect()
            stream = self._stream
        readers: list[socket.socket | Stream] = [self._bell]
        unsent: list[Stream] = []
        if stream is not None:
            readers.append(stream)
            self._client.loop_write()
            if not stream.flush():
                unsent.append(stream)
            timeout_s = 0 if stream.pending() else timeout_s
        readable, _, _ = select.select(readers, unsent, [], timeout_s)
        if self._bell in readable:
            self._bell.recv(4096)
        if stream is None:
            return
        if stream in readable or stream.pending():
            for message in stream.arrivals():
                self._arrive(message)
            while stream.is_for_paho and self._stream is stream:
                self._client.loop_read()
        self._client.loop_misc()
        self._client.loop_write()
        stream.flush()

    def wake(self) -> None:
        """End the waiting of `turn`; from any thread, and safe in a signal handler."""
        with contextlib.suppress(BlockingIOError):  # it has been woken often enough
            self._button.send(b"\0")

    def stop(self) -> None:
        """Say that the server goes, and disconnect; the broker keeps what comes meanwhile."""
        self._stopping = True
        goodbye = self.announce("offline")
        deadline_s = time.monotonic() + _GOODBYE_S
        while goodbye and self._subscribed and not goodbye.is_published() and time.monotonic() < deadline_s:
            self.turn(0.1)
        self._client.disconnect()
        self._bell.close()
        self._button.close()

    @property
    def _stream(self) -> Stream | None:
        """The connection, if there is one."""
        found: Any = self._client.socket()
        return found if isinstance(found, Stream) else None

    def _connect(self) -> None:
        """Try to connect; what comes of it is told to the callbacks."""
        self._next_try_s = time.monotonic() + self._retry_s + secrets.randbelow(1000) / 1000
        self._retry_s = min(2 * self._retry_s, _LONGEST_RETRY_S)
        try:
            self._client.reconnect()
        except OSError as error:
            self._say_lost(f"the broker at {self._place()} cannot be reached: {error.strerror or error}")

    def announce(self, state: Literal["online", "offline"]) -> mqtt.MQTTMessageInfo | None:
        """Publish the server's status if the broker has not heard it on this connection."""
        if not self._subscribed or self._announced == state:
            return None
        self._announced = state
        log.info("the server is %s", state)
        return self.publish(topics.SERVER_STATUS, messages.encode(ServerStatus(state=state)), retain=True)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> mqtt.MQTTMessageInfo:
        """Hand a message to the next turn; the broker acknowledges it, and gets it again after a lost connection."""
        return self._client.publish(topic, payload, qos=1, retain=retain)

    def tell(self, topic: str, payload: bytes) -> None:
        """Hand a message with QoS 0 to the next turn: if it is lost, the device asks again."""
        if self._stream is not None:
            self._stream.tell(topic, payload)

    def acknowledge(self, arrived: Iterable[Arrived]) -> None:
        """Tell the broker that it can forget messages."""
        if self._stream is not None:
            self._stream.acknowledge(one.mid for one in arrived if one.qos and one.connection == self._connection)

    def _on_connect(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._say_lost(f"the broker at {self._place()} refuses ingest: {reason}")
            return
        if self._shares and not getattr(properties, "SharedSubscriptionAvailable", True):
            self._say_lost(f"the broker at {self._place()} has no shared subscriptions, which mqtt_share needs")
            return
        self._connection += 1
        self._announced = None
        client.subscribe(self._filters)

    def _on_subscribe(self, _client: Any, _userdata: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        refused = [name for (name, _), reason in zip(self._filters, reasons, strict=True) if reason.is_failure]
        if refused:
            self._say_lost(f"the broker at {self._place()} does not let ingest read {', '.join(refused)}")
            return
        log.info("connected to the broker at %s", self._place())
        self._said_lost = False
        self._subscribed = True
        self._retry_s = _FIRST_RETRY_S

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._subscribed = False
        self._connection += 1
        if not self._stopping:
            self._say_lost(f"the connection to the broker at {self._place()} is lost: {reason}")

    def _arrive(self, message: Publish) -> None:
        arrived = Arrived(*message, self._connection)
        if message.topic == topics.SERVER_STATUS:  # which the subscription to status matches
            self.acknowledge([arrived])
            self._insist(message.payload)
        else:
            self._on_arrival(arrived)

    def _insist(self, payload: bytes) -> None:
        """Say again that an ingest is there, when the status of another one, or an old last will, says the contrary."""
        with contextlib.suppress(WireError):
            if self._announced == "online" and messages.decode(payload, ServerStatus).state == "offline":
                self._announced = None
                self.announce("online")

    def _say_lost(self, what: str) -> None:
        if not self._said_lost:
            log.warning("%s; trying again until it works", what)
            self._said_lost = True

    def _place(self) -> str:
        return f"{self._endpoint.host}:{self._endpoint.port}"


def _version(settings: ServerSettings) -> MQTTProtocolVersion:
    """Return the version to speak, if that and the share go together."""
    version = VERSIONS.get(settings.mqtt_version)
    if version is None:
        raise UnusableError(f"mqtt_version is {settings.mqtt_version!r}; {' or '.join(VERSIONS)} is right")
    if settings.mqtt_share and version != MQTTProtocolVersion.MQTTv5:
        raise UnusableError('mqtt_share needs mqtt_version "5", in which a broker tells whether it has shares')
    if set(settings.mqtt_share) & set("/+#"):
        raise UnusableError(f"mqtt_share {settings.mqtt_share!r} is no name of a share: one without / + # is")
    return version


def _filter(kind: topics.FromDevice, share: str) -> str:
    """Return the filter for one kind of message from every device, shared with others if there is a share."""
    name = topics.subscription(kind)
    return f"$share/{share}/{name}" if share and kind in _SHARED else name


def _lasting() -> Properties:
    """Return what asks an MQTT 5 broker for a session that outlives the connection."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = _SESSION_LIVES_S
    properties.ReceiveMaximum = _MOST_UNACKNOWLEDGED
    return properties
