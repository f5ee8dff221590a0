"""The doctor's checks of the network: the broker, and the server's answer to one record.

They use a connection of their own, without last will and status, so that a running device is not disturbed.
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
SAME_VERSION = "install the same version on server and device"
ANSWER_S = 4.0
"""How long to wait for one answer of broker or server."""
HANDSHAKE_S = 8
"""How long paho waits for the TLS handshake; it takes the keep-alive interval, as it has no setting of its own."""
EPOCH_MS = 1
"""Date of the record that asks for an answer: older than any server keeps, so that it is answered `expired`."""


class _RefusedError(Exception):
    """The broker refuses the device; the arguments are what is seen and what to do."""


class _Answers:
    """What arrives in the network thread, in queues for the thread that waits for it."""

    def __init__(self) -> None:
        self.connected: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.subscribed: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        self.messages: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()

    def attach(self, client: paho.Client) -> None:
        """Put what this client receives into the queues."""
        client.on_connect = lambda _client, _data, _flags, reason, _properties: self.connected.put(reason)
        client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: self.subscribed.put(reasons)
        client.on_message = lambda _client, _data, message: self.messages.put((message.topic, bytes(message.payload)))

    def await_message(self, topic: str) -> bytes | None:
        """Return the next message on a topic, skipping others; None if there is none in time."""
        deadline_s = time.monotonic() + ANSWER_S
        while (left_s := deadline_s - time.monotonic()) > 0:
            try:
                received, payload = self.messages.get(timeout=left_s)
            except queue.Empty:
                return None
            if received == topic:
                return payload
        return None


def check(settings: DeviceSettings, device: str) -> list[Finding]:
    """Connect, subscribe, and have one record answered."""
    endpoint = mqtt.parse_url(settings.mqtt_url)
    account = settings.mqtt_username or device
    answers = _Answers()
    try:
        with _connected(settings, endpoint, account, answers) as client:
            _subscribe(client, device, answers)
            return [_secured(endpoint, account), _server(client, settings, device, answers)]
    except (_RefusedError, ValueError) as error:  # ValueError: certificates that cannot be used
        seen, todo = error.args if isinstance(error, _RefusedError) else (str(error), "correct that setting")
        skipped = Finding("server", "skip", "not checked, because there is no connection to the broker")
        return [Finding("broker", "fail", seen, todo), skipped]


def _secured(endpoint: Endpoint, account: str) -> Finding:
    """Report a broker that accepts this device, with a warning if others could listen in."""
    secured = "with TLS" if endpoint.tls else "without TLS"
    seen = f"{endpoint}, {secured}, accepts {account} and its subscriptions"
    if endpoint.tls or _is_loopback(endpoint.host):
        return Finding("broker", "ok", seen)
    return Finding("broker", "warn", seen, "use mqtts:// unless you trust the network")


@contextmanager
def _connected(settings: DeviceSettings, endpoint: Endpoint, account: str, answers: _Answers) -> Iterator[paho.Client]:
    client = mqtt.client(
        account,
        settings.mqtt_password,
        mqtt.tls_context(*settings.mqtt_files) if endpoint.tls else None,
        client_id=f"moodwire-doctor-{secrets.token_hex(4)}",
        protocol=mqtt.VERSIONS[settings.mqtt_version],
        reconnect_on_failure=False,
    )
    client.connect_timeout = ANSWER_S
    answers.attach(client)
    _open(client, endpoint)
    client.loop_start()
    try:
        _log_in(endpoint, account, answers)
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def _open(client: paho.Client, endpoint: Endpoint) -> None:
    try:
        client.connect(endpoint.host, endpoint.port, keepalive=HANDSHAKE_S)
    except ssl.SSLCertVerificationError as error:
        todo = "set mqtt_ca_file to the CA that signed it, and use the certificate's name as host in mqtt_url"
        seen = f"{endpoint} has a certificate that is not trusted: {error.verify_message}"
        raise _RefusedError(seen, todo) from error
    except (ssl.SSLError, ConnectionResetError) as error:
        todo = "use mqtts:// for a port with TLS, mqtt:// for one without; set mqtt_cert_file if it wants certificates"
        raise _RefusedError(f"{endpoint} ends the connection: {error.strerror or error}", todo) from error
    except OSError as error:
        seen = f"{endpoint} cannot be reached: {error.strerror or error}"
        raise _RefusedError(seen, "check mqtt_url, that the broker runs, and the network") from error


def _log_in(endpoint: Endpoint, account: str, answers: _Answers) -> None:
    try:
        reason = answers.connected.get(timeout=ANSWER_S)
    except queue.Empty as error:
        todo = "use mqtts:// if it has TLS; else check that mqtt_url names the port of a broker"
        raise _RefusedError(f"{endpoint} accepts the connection and says nothing", todo) from error
    if reason.is_failure:
        todo = "check mqtt_password and mqtt_username; `moodwire setup --device …` on the server makes an account"
        raise _RefusedError(f"{endpoint} refuses {account}: {reason}", todo)


def _subscribe(client: paho.Client, device: str, answers: _Answers) -> None:
    wanted = [topics.topic(device, "stored"), topics.SERVER_STATUS]
    client.subscribe([(name, 1) for name in wanted])
    try:
        reasons = answers.subscribed.get(timeout=ANSWER_S)
    except queue.Empty as error:
        raise _RefusedError("the broker does not answer a subscription", "read the broker's log") from error
    refused = [name for name, reason in zip(wanted, reasons, strict=False) if reason.is_failure]
    if refused:
        todo = f"allow the account what broker/mosquitto.acl allows device {device}"
        raise _RefusedError(f"the broker does not let this account subscribe to {', '.join(refused)}", todo)


def _server(client: paho.Client, settings: DeviceSettings, device: str, answers: _Answers) -> Finding:
    if settings.confirm == "broker":
        return Finding("server", "skip", "not checked, because confirm = broker needs no server")
    try:
        payload = answers.await_message(topics.SERVER_STATUS)
        if payload is None:
            seen = "the broker knows of no server, or does not tell this account of one"
            return Finding("server", "fail", seen, "start `moodwire server ingest`; set mqtt_username to the device id")
        if decode(payload, ServerStatus).state != "online":
            seen = "the server is offline: ingest or its store does not run"
            return Finding("server", "fail", seen, "start both on the server; records wait in the outbox until then")
        return _round_trip(client, device, answers)
    except WireError as error:
        return Finding("server", "fail", f"a message of the server is malformed: {error}", SAME_VERSION)


def _round_trip(client: paho.Client, device: str, answers: _Answers) -> Finding:
    """Send one record and wait for its answer, which comes from the store through ingest and broker."""
    sent = _expired_record()
    start_s = time.monotonic()
    client.publish(topics.topic(device, "heard"), encode(sent), qos=1)
    while payload := answers.await_message(topics.topic(device, "stored")):
        answer = decode(payload, Stored)
        if answer.boot == sent.boot:  # else it answers a running device
            break
    else:
        seen = f"the server is online, but has not answered a record within {ANSWER_S:g} s"
        return Finding("server", "fail", seen, "set mqtt_username to the device id; if it is, read the log of ingest")
    took_ms = (time.monotonic() - start_s) * 1000
    if answer.expired or answer.erased:
        return Finding("server", "ok", f"the server is online and answered a record from its store in {took_ms:.0f} ms")
    if answer.refused:
        return Finding("server", "fail", f"the server refuses records: {answer.refused[0][2]}", SAME_VERSION)
    seen = "the server is online, but keeps records so long that it has stored the empty one of this check, from 1970"
    return Finding("server", "warn", seen, "set retention_days below 20,000")


def _expired_record() -> Heard:
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
