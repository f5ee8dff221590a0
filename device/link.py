"""The connection to the broker: status and last will, sending from the outbox, and what the server answers."""

import logging
import sqlite3
import ssl
import threading
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from msgspec.structs import replace
from paho.mqtt.enums import CallbackAPIVersion

from broker import topics
from broker.endpoint import parse as parse_endpoint
from broker.messages import (
    Generation,
    Health,
    ServerStatus,
    Status,
    Stored,
    WireError,
    decode,
    encode,
    join,
)
from device.courier import Courier
from device.outbox import Outbox, Row
from device.settings import DeviceSettings

log = logging.getLogger(__name__)

RESEND_CHECK_S = 1.0
"""How often to look whether a confirmation is overdue."""
LONGEST_RECONNECT_S = 60
GOODBYE_S = 2.0


class Link:
    """One device's connection, kept up in the background from `start` to `stop`.

    Raises:
        ValueError: the broker's URL or the CA file cannot be used.
    """

    def __init__(self, settings: DeviceSettings, device: str, status: Status, outbox: Outbox) -> None:
        self._device = device
        self._status = status
        self._outbox = outbox
        self._courier = Courier(outbox)
        self._wake = threading.Condition()
        self._connected = False
        self._server_online = False
        self._stopping = False
        self._announced_loss = False
        self._endpoint = parse_endpoint(settings.mqtt_url)
        # A client id of its own per boot: two devices that share an id by mistake must not throw each other out.
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"moodwire-{device}-{status.boot[:8]}", clean_session=True
        )
        self._client.username_pw_set(settings.mqtt_username or device, settings.mqtt_password or None)
        if self._endpoint.tls:
            self._client.tls_set_context(_tls(settings.mqtt_ca_file))
        self._client.reconnect_delay_set(1, LONGEST_RECONNECT_S)
        self._client.on_pre_connect = self._before_connect
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._sender = threading.Thread(target=self._send, name="sender", daemon=True)

    def start(self) -> None:
        """Connect, and go on trying while that fails."""
        self._client.connect_async(self._endpoint.host, self._endpoint.port)
        self._client.loop_start()
        self._sender.start()

    def notify(self) -> None:
        """Say that there is something new in the outbox."""
        with self._wake:
            self._wake.notify_all()

    def publish_health(self, health: Health) -> None:
        """Publish how the device is, if connected; the next minute brings the next one."""
        if self._connected:
            self._client.publish(topics.topic(self._device, "health"), encode(health), qos=0, retain=True)

    def drain(self, timeout_s: float) -> int:
        """Wait until the server has confirmed everything, and return how many rows still wait."""
        with self._wake:
            self._wake.wait_for(lambda: self._outbox.waiting()[0] == 0, timeout_s)
        return self._outbox.waiting()[0]

    def stop(self) -> None:
        """Say goodbye and disconnect; what is in the outbox waits for the next start."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._sender.join()
        goodbye = self._publish_status("offline")
        if goodbye.rc == mqtt.MQTT_ERR_SUCCESS:  # else the connection is gone, and the last will says it
            goodbye.wait_for_publish(GOODBYE_S)
        self._client.disconnect()
        self._client.loop_stop()

    def _before_connect(self, _client: mqtt.Client, _userdata: Any) -> None:
        """Number the connection, so that the last will of an older one is recognised as stale."""
        self._status = replace(self._status, connection=self._status.connection + 1)
        will = encode(replace(self._status, state="offline"))
        self._client.will_set(topics.topic(self._device, "status"), will, qos=1, retain=True)

    def _on_connect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._say_lost(f"the broker refuses this device: {reason}")
            return
        log.info("connected to the broker at %s:%d", self._endpoint.host, self._endpoint.port)
        self._announced_loss = False
        self._client.subscribe(
            [
                (topics.topic(self._device, "stored"), 1),
                (topics.topic(self._device, "generation"), 1),
                (topics.topic(self._device, "status"), 1),
                (topics.SERVER_STATUS, 1),
            ]
        )
        self._publish_status("online")
        with self._wake:
            self._courier.start_over()
            self._connected = True
            self._wake.notify_all()

    def _on_connect_fail(self, _client: Any, _userdata: Any) -> None:
        self._say_lost("the broker cannot be reached")

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        with self._wake:
            self._connected = False
            self._server_online = False
        if not self._stopping:
            self._say_lost(f"the connection to the broker is lost: {reason}")

    def _say_lost(self, what: str) -> None:
        if not self._announced_loss:
            log.warning("%s; readings wait in the outbox, trying again", what)
            self._announced_loss = True

    def _publish_status(self, state: str) -> mqtt.MQTTMessageInfo:
        payload = encode(replace(self._status, state=state))
        return self._client.publish(topics.topic(self._device, "status"), payload, qos=1, retain=True)

    def _on_message(self, _client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        handlers: dict[str, Callable[[bytes], None]] = {
            topics.topic(self._device, "stored"): self._on_stored,
            topics.topic(self._device, "generation"): self._on_generation,
            topics.topic(self._device, "status"): self._on_own_status,
            topics.SERVER_STATUS: self._on_server_status,
        }
        try:
            handlers[message.topic](bytes(message.payload))
        except WireError as error:
            log.warning("ignored a message on %s: %s", message.topic, error)
        except sqlite3.Error as error:
            # The rows stay, go out again later, and the server answers again.
            log.error("the outbox cannot be written (%s); a message on %s has no effect", error, message.topic)  # noqa: TRY400 - the sentence says it all

    def _on_stored(self, payload: bytes) -> None:
        answer = decode(payload, Stored)
        settled = [*answer.stored, *answer.expired, *answer.erased]
        self._outbox.settle(answer.boot, settled)
        for first, last, why in answer.refused:
            log.warning("the server refuses records %d to %d of boot %s: %s", first, last, answer.boot, why)
            self._outbox.refuse(answer.boot, first, last, why)
            settled.append((first, last))
        with self._wake:
            self._courier.settled(answer.boot, settled)
            self._wake.notify_all()

    def _on_generation(self, payload: bytes) -> None:
        if payload:
            generation = decode(payload, Generation).gen
            erased = self._outbox.raise_generation(generation)
            if erased:
                log.info("someone deleted this device's data; %d waiting records erased", erased)

    def _on_own_status(self, payload: bytes) -> None:
        """Say `online` again when an earlier connection's last will arrives late, or an erasure cleared the status."""
        if self._stopping or not self._connected:
            return
        seen = decode(payload, Status) if payload else None
        if seen is None or (seen.boot == self._status.boot and seen.state == "offline"):
            log.info("the retained status says nothing of this device, or offline; saying that it is online")
            self._publish_status("online")

    def _on_server_status(self, payload: bytes) -> None:
        online = bool(payload) and decode(payload, ServerStatus).state == "online"
        if online != self._server_online:
            log.info("the server is %s", "online" if online else "away; readings wait in the outbox")
        with self._wake:
            if not online:
                self._courier.start_over()
            self._server_online = online
            self._wake.notify_all()

    def _send(self) -> None:
        while True:
            with self._wake:
                if self._stopping:
                    return
                rows = self._next_rows()
                if not rows:
                    self._wake.wait(RESEND_CHECK_S)
                    continue
            payload = join([row.payload for row in rows])
            self._client.publish(topics.topic(self._device, rows[0].kind), payload, qos=1)

    def _next_rows(self) -> list[Row]:
        """Return what to send now; nothing while nobody confirms, or while the outbox cannot be read."""
        if not (self._connected and self._server_online):
            return []
        try:
            return self._courier.next_batch()
        except sqlite3.Error as error:
            log.error("the outbox cannot be read: %s; trying again", error)  # noqa: TRY400 - the sentence says it all
            return []


def _tls(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise ValueError(f"mqtt_ca_file {ca_file!r} cannot be used: {error}") from error
