"""Ingest's connection to the broker: a lasting session, acknowledged by hand, and the server's own status."""

import contextlib
import logging
import math
import select
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from broker import messages, topics
from broker.messages import ServerStatus, WireError
from common.backoff import Backoff
from common.mqtt import VERSIONS
from common.outage import Outage
from server import mqtt_endpoint
from server.errors import UnusableError
from server.ingest.bulk_client import BulkClient
from server.ingest.delivery import Delivery
from server.settings import ServerSettings
from server.store.types import IngestState

log = logging.getLogger(__name__)

_MAX_UNACKNOWLEDGED = 2000
_SHORTEST_SHARE = 16
_LONGEST_TOLD = 200
_GOODBYE_S = 2.0
_FIRST_RETRY_S = 2.0
_LONGEST_RETRY_S = 8.0
_STEADY_S = 10.0
"""A connection that lasts this long is a steady one."""
_LOSSES_LOGGED = 2
"""Connections in a row, none of them steady, whose losses are logged one by one."""
_SESSION_LIFETIME_S = 86_400
"""So long an MQTT 5 broker keeps what comes for an ingest that is away; devices send the rest again."""
_REPEAT_S = 600.0
"""How often to publish `online` again: some brokers drop retained messages and tell nobody."""
_INSIST_S = 5.0
"""From one contradiction of a malformed status to the next, so that nobody who answers it is answered without end."""
_SHARED = tuple(kind for kind in topics.FROM_DEVICE if kind != "status")
"""What several workers divide among them; a shared subscription would not get a status that was retained before."""


class Connection:
    """The connection to the broker, kept up as long as `turn` is called again and again; all by one thread.

    Args:
        settings: Where the broker is, how to log in, and whether to share the work with others.
        on_delivery: Called for each message; must be quick.

    Raises:
        UnusableError: the broker's URL, the certificate, the version or the name of the share is not usable.
    """

    def __init__(self, settings: ServerSettings, on_delivery: Callable[[Delivery], None]) -> None:
        self._endpoint = mqtt_endpoint.endpoint(settings)
        self._filters = [
            (_filter(kind, settings.mqtt_share), 0 if kind == "health" else 1) for kind in topics.FROM_DEVICE
        ]
        self._shares = bool(settings.mqtt_share)
        self._on_delivery = on_delivery
        self._subscribed = False
        self._up_since_s: float | None = None
        self._short_lived = 0
        """Connections in a row that were lost before they were steady."""
        self._announced: str | None = None
        self._announce_at_s = 0.0
        """When to publish `online` again."""
        self._insisted_s = -math.inf
        self._stopping = False
        self._client_id = settings.mqtt_client_id
        self._account = settings.mqtt_username
        self._told = b""
        """What the broker holds as the server's status."""
        self._outage = Outage(log)
        self._backoff = Backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S)
        self._next_try_s = 0.0
        self._client = self._make_client(settings)
        self._bell, self._button = socket.socketpair()
        self._bell.settimeout(0)
        self._button.settimeout(0)

    def _make_client(self, settings: ServerSettings) -> BulkClient:
        """Return a client that knows the broker and is not connected."""
        version = _version(settings)
        is_5 = version == MQTTProtocolVersion.MQTTv5
        client = BulkClient(
            CallbackAPIVersion.VERSION2,
            client_id=settings.mqtt_client_id,
            clean_session=None if is_5 else False,
            protocol=version,
            manual_ack=True,
        )
        if settings.mqtt_username:
            client.username_pw_set(settings.mqtt_username, settings.mqtt_password or None)
        if tls := mqtt_endpoint.tls(settings):
            client.tls_set_context(tls)
        client.max_inflight_messages_set(_MAX_UNACKNOWLEDGED)
        client.will_set(topics.SERVER_STATUS, messages.encode(ServerStatus(state="offline")), qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.connect_async(
            self._endpoint.host,
            self._endpoint.port,
            keepalive=30,
            clean_start=False if is_5 else mqtt.MQTT_CLEAN_START_FIRST_ONLY,
            properties=_lasting_session() if is_5 else None,
        )
        return client

    def state(self, doubt: str) -> IngestState:
        """Return what ingest says of itself, its doubt about the clock included."""
        return IngestState(self._account, doubt, self._told[:_LONGEST_TOLD].decode(errors="replace"))

    @property
    def is_up(self) -> bool:
        """Whether the broker has taken our subscriptions on this connection."""
        return self._subscribed

    def turn(self, timeout_s: float) -> None:
        """Send and receive what there is, after waiting up to so long for it or for `wake`; connect if need be."""
        client = self._client
        if self._short_lived and self._is_steady():
            self._short_lived = 0
            self._backoff.reset()
            self._outage.end("connected to %s", self._endpoint)
        if client.socket() is None and time.monotonic() >= self._next_try_s:
            self._connect()
        all_sent = client.flush()
        connected: Any = client.socket()
        sockets = [] if connected is None else [connected]
        timeout_s = 0 if client.pending() else timeout_s
        readable, _, _ = select.select([self._bell, *sockets], [] if all_sent else sockets, [], timeout_s)
        if self._bell in readable:
            self._bell.recv(4096)
        if connected in readable or client.pending():
            for delivery in client.deliveries():
                self._receive(delivery)
        client.loop_misc()
        client.flush()

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

    def _connect(self) -> None:
        """Try to connect; the callbacks are told the result."""
        self._next_try_s = time.monotonic() + self._backoff.next_s()
        try:
            self._client.reconnect()
        except OSError as error:
            self._lose(f"{self._endpoint} cannot be reached: {error.strerror or error}")

    def announce(self, state: Literal["online", "offline"]) -> mqtt.MQTTMessageInfo | None:
        """Publish the server's status if the broker has not heard it on this connection, or may hold another one."""
        if not self._subscribed:
            return None
        now_s = time.monotonic()
        if self._announced != state:
            if self._short_lived <= _LOSSES_LOGGED:
                log.info("the server is %s", state)
        elif state == "offline" or now_s < self._announce_at_s:
            return None
        self._announced = state
        self._announce_at_s = now_s + _REPEAT_S
        return self.publish(topics.SERVER_STATUS, messages.encode(ServerStatus(state=state)), retain=True)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> mqtt.MQTTMessageInfo:
        """Hand a message to the next turn; the broker acknowledges it, and gets it again after a lost connection."""
        return self._client.publish(topic, payload, qos=1, retain=retain)

    def publish_once(self, topic: str, payload: bytes) -> None:
        """Hand a message with QoS 0 to the next turn: if it is lost, the device asks again."""
        self._client.publish_once(topic, payload)

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Tell the broker that it can forget messages."""
        self._client.acknowledge(deliveries)

    def _on_connect(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._lose(f"{self._endpoint} refuses ingest: {reason}")
            return
        if self._shares and not getattr(properties, "SharedSubscriptionAvailable", True):
            self._lose(f"{self._endpoint} has no shared subscriptions, which mqtt_share needs")
            return
        self._announced, self._told = None, b""
        client.subscribe(self._filters)

    def _on_subscribe(self, _client: Any, _userdata: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        refused = [kind for kind, reason in zip(topics.FROM_DEVICE, reasons, strict=True) if reason.is_failure]
        if refused:
            names = ", ".join(topics.subscription(kind) for kind in refused)  # without the share, which is a secret
            self._lose(f"{self._endpoint} does not let ingest read {names}")
            return
        self._subscribed = True
        self._up_since_s = time.monotonic()
        if self._short_lived > _LOSSES_LOGGED:
            return  # `turn` says so once it is steady
        if self._outage.is_on:
            self._outage.end("connected to %s", self._endpoint)
        else:
            log.info("connected to %s", self._endpoint)
        if not self._short_lived:
            self._backoff.reset()

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self._up_since_s is not None:
            self._short_lived = 0 if self._is_steady() else self._short_lived + 1
        self._subscribed, self._up_since_s = False, None
        if self._stopping:
            return
        if self._short_lived > _LOSSES_LOGGED:
            self._lose(
                f"{self._endpoint} ends each connection of {self._client_id} within {_STEADY_S:.0f} s; another program "
                "with the same account or mqtt_client_id may run: stop it, or give it an account and an id of its own"
            )
        else:
            self._lose(f"the connection to {self._endpoint} is lost: {reason}")

    def _is_steady(self) -> bool:
        return self._up_since_s is not None and time.monotonic() - self._up_since_s >= _STEADY_S

    def _receive(self, delivery: Delivery) -> None:
        if delivery.topic == topics.SERVER_STATUS:  # which the subscription to status matches
            self.acknowledge([delivery])
            self._told = delivery.payload
            self._contradict(delivery.payload)
        else:
            self._on_delivery(delivery)

    def _contradict(self, payload: bytes) -> None:
        """Let `online` be published again soon, when the broker holds anything else: devices would send nothing.

        That is the goodbye of another ingest or an old last will, or what someone has cleared or written by mistake.
        """
        if self._announced != "online":
            return
        now_s = time.monotonic()
        try:
            if messages.decode(payload, ServerStatus).state == "offline":
                log.info("another ingest has left; publishing again that the server is online")
                self._announce_at_s = now_s
        except WireError as error:
            log.warning(
                "%s holds no status of a server (%s); publishing again that the server is online",
                topics.SERVER_STATUS,
                error if payload else "someone has cleared it",
            )
            self._insisted_s = max(now_s, self._insisted_s + _INSIST_S)
            self._announce_at_s = min(self._announce_at_s, self._insisted_s)

    def _lose(self, what: str) -> None:
        self._outage.begin("%s; retrying", what)


def _version(settings: ServerSettings) -> MQTTProtocolVersion:
    """Return the version to speak, if that and the share go together."""
    version = VERSIONS.get(settings.mqtt_version)
    if version is None:
        raise UnusableError(f"mqtt_version is {settings.mqtt_version!r}: set {' or '.join(VERSIONS)}")
    if settings.mqtt_share and version != MQTTProtocolVersion.MQTTv5:
        raise UnusableError('mqtt_share needs a broker that says whether it has shares: set mqtt_version = "5"')
    if set(settings.mqtt_share) & set("/+#"):
        raise UnusableError("mqtt_share does not name a share: leave out / + #")
    if 0 < len(settings.mqtt_share) < _SHORTEST_SHARE:  # Mosquitto lets every account join a share that it can name
        raise UnusableError(
            f"mqtt_share can be guessed, and who guesses it takes readings away: set {_SHORTEST_SHARE} random "
            "characters or more, such as `moodwire setup --ingests 2` makes"
        )
    return version


def _filter(kind: topics.FromDevice, share: str) -> str:
    """Return the filter for one kind of message from every device, shared with others if there is a share."""
    name = topics.subscription(kind)
    return f"$share/{share}/{name}" if share and kind in _SHARED else name


def _lasting_session() -> Properties:
    """Return what asks an MQTT 5 broker for a session that outlives the connection."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = _SESSION_LIFETIME_S
    properties.ReceiveMaximum = _MAX_UNACKNOWLEDGED
    return properties
