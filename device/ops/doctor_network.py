"""The doctor's checks of the way to the server: broker, and a confirmation that comes from the store and back.

They use a connection of their own, with no last will and no status, so a device that runs meanwhile is not disturbed.
"""

import queue
import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as paho

from broker import topics
from broker.messages import Heard, ServerStatus, Stored, WireError, decode, encode
from common import mqtt
from common.mqtt import Endpoint
from common.report import Finding
from device.settings import DeviceSettings
from device.system.identity import new_boot

NAMES = ("broker", "server")
ANSWER_S = 4.0
"""How long one answer of broker or server is waited for."""
HANDSHAKE_S = 8
"""How long paho waits for the TLS handshake: it has no setting for that, and takes the keep-alive interval."""
EPOCH_MS = 1
"""The date of the record that asks for an answer: older than any server keeps, so that it answers `expired` and keeps
nothing."""


class _RefusedError(Exception):
    """The broker does not let this device in, or does not let it hear; the text is the finding's."""


class _Talk:
    """What the network thread hears, in queues for the thread that asks."""

    def __init__(self) -> None:
        self.connected: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.subscribed: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        self.messages: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()

    def attach(self, client: paho.Client) -> None:
        """Let the client report here."""
        client.on_connect = lambda _client, _data, _flags, reason, _properties: self.connected.put(reason)
        client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: self.subscribed.put(reasons)
        client.on_message = lambda _client, _data, message: self.messages.put((message.topic, bytes(message.payload)))

    def await_message(self, topic: str) -> bytes | None:
        """Return the next message on a topic, or None if there is none in time; others are passed over."""
        deadline_s = time.monotonic() + ANSWER_S
        while (left_s := deadline_s - time.monotonic()) > 0:
            try:
                came, payload = self.messages.get(timeout=left_s)
            except queue.Empty:
                return None
            if came == topic:
                return payload
        return None


def check(settings: DeviceSettings, device: str) -> list[Finding]:
    """Connect, ask who is there, and have one record answered."""
    endpoint = mqtt.parse_url(settings.mqtt_url)
    account = settings.mqtt_username or device
    talk = _Talk()
    try:
        with _connected(settings, endpoint, account, talk) as client:
            _subscribe(client, device, talk)
            secured = "with TLS" if endpoint.tls else "without TLS"
            place = f"the broker at {endpoint.host}:{endpoint.port}, {secured}"
            todo = "" if endpoint.tls or _is_loopback(endpoint.host) else "use mqtts:// unless you trust the network"
            found = Finding("broker", "warn" if todo else "ok", f"{place}, lets {account} in and hear its topics", todo)
            return [found, _server(client, settings, device, talk)]
    except (_RefusedError, ValueError) as error:  # the latter from certificates that cannot be used
        seen, todo = error.args if isinstance(error, _RefusedError) else (str(error), "mend that setting")
        return [Finding("broker", "fail", seen, todo), Finding("server", "skip", "not asked, as the broker is away")]


@contextmanager
def _connected(settings: DeviceSettings, endpoint: Endpoint, account: str, talk: _Talk) -> Iterator[paho.Client]:
    client = mqtt.client(
        account,
        settings.mqtt_password,
        mqtt.tls_context(*settings.mqtt_files) if endpoint.tls else None,
        client_id=f"moodwire-doctor-{secrets.token_hex(4)}",
        protocol=mqtt.VERSIONS[settings.mqtt_version],
        reconnect_on_failure=False,
    )
    client.connect_timeout = ANSWER_S
    talk.attach(client)
    _open(client, endpoint)
    client.loop_start()
    try:
        _log_in(endpoint, account, talk)
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def _open(client: paho.Client, endpoint: Endpoint) -> None:
    place = f"the broker at {endpoint.host}:{endpoint.port}"
    try:
        client.connect(endpoint.host, endpoint.port, keepalive=HANDSHAKE_S)
    except ssl.SSLCertVerificationError as error:
        seen = f"{place} shows a certificate that is not trusted: {error.verify_message}"
        raise _RefusedError(seen, "let mqtt_ca_file name the CA that signed it, and mqtt_url its name") from error
    except (ssl.SSLError, ConnectionResetError) as error:
        todo = "mqtts:// is for a port with TLS, mqtt:// for one without; it may also want mqtt_cert_file"
        raise _RefusedError(f"{place} ends the connection: {error.strerror or error}", todo) from error
    except OSError as error:
        seen = f"{place} cannot be reached: {error.strerror or error}"
        raise _RefusedError(seen, "is the address right (mqtt_url), the broker running, the network up?") from error


def _log_in(endpoint: Endpoint, account: str, talk: _Talk) -> None:
    place = f"the broker at {endpoint.host}:{endpoint.port}"
    try:
        reason = talk.connected.get(timeout=ANSWER_S)
    except queue.Empty as error:
        todo = "if it has TLS, mqtts:// is right; is it a broker at all?"
        raise _RefusedError(f"{place} takes the connection and says nothing", todo) from error
    if reason.is_failure:
        todo = "check mqtt_password and mqtt_username; `moodwire setup --device …` on the server makes an account"
        raise _RefusedError(f"{place} refuses {account}: {reason}", todo)


def _subscribe(client: paho.Client, device: str, talk: _Talk) -> None:
    wanted = [topics.topic(device, "stored"), topics.SERVER_STATUS]
    client.subscribe([(name, 1) for name in wanted])
    try:
        reasons = talk.subscribed.get(timeout=ANSWER_S)
    except queue.Empty as error:
        raise _RefusedError("the broker does not answer a subscription", "look into the broker's log") from error
    refused = [name for name, reason in zip(wanted, reasons, strict=False) if reason.is_failure]
    if refused:
        todo = f"the account must be allowed what device {device} may (broker/mosquitto.acl)"
        raise _RefusedError(f"the broker does not let this account hear {', '.join(refused)}", todo)


def _server(client: paho.Client, settings: DeviceSettings, device: str, talk: _Talk) -> Finding:
    if settings.confirm == "broker":
        return Finding("server", "skip", "not asked, as confirm is broker: nobody else confirms")
    try:
        payload = talk.await_message(topics.SERVER_STATUS)
        if payload is None:
            seen = "the broker knows of no server, or does not let this account hear of one"
            return Finding(
                "server", "fail", seen, "start `moodwire server ingest`; mqtt_username must be the device id"
            )
        if decode(payload, ServerStatus).state != "online":
            seen = "the server says that it is away: ingest is not running, or its store is not"
            return Finding("server", "fail", seen, "start both on the server; records wait in the outbox meanwhile")
        return _round_trip(client, device, talk)
    except WireError as error:
        return Finding("server", "fail", f"what the server says cannot be read: {error}", "is it the same version?")


def _round_trip(client: paho.Client, device: str, talk: _Talk) -> Finding:
    """Have one record answered: the answer comes from the store, through ingest and broker, to this device's topic."""
    asked = _question()
    start_s = time.monotonic()
    client.publish(topics.topic(device, "heard"), encode(asked), qos=1)
    while payload := talk.await_message(topics.topic(device, "stored")):
        answer = decode(payload, Stored)
        if answer.boot == asked.boot:  # else it is for the device that runs meanwhile
            break
    else:
        seen = f"the server says that it is online, but has not answered a record within {ANSWER_S:g} s"
        return Finding("server", "fail", seen, "mqtt_username must be the device id; else see the log of ingest")
    took_ms = (time.monotonic() - start_s) * 1000
    if answer.expired or answer.erased:
        return Finding("server", "ok", f"the server is online and answered a record from its store in {took_ms:.0f} ms")
    if answer.refused:
        return Finding(
            "server", "fail", f"the server refuses records: {answer.refused[0][2]}", "is it the same version?"
        )
    seen = "the server is online and keeps records for so long that it has kept the empty one of this check, from 1970"
    return Finding("server", "warn", seen, "let retention_days be less than 20,000")


def _question() -> Heard:
    return Heard(
        boot=new_boot(),
        seq=0,
        gen=0,
        at=EPOCH_MS,
        span_ms=1,
        windows=0,
        silent=0,
        speech=0,
        uncertain=0,
        dropped=0,
        level_dbfs=-120.0,
        clipping=0.0,
    )


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")
