"""The doctor's checks of the network: the broker, and the server's answer to one record.

The broker lets the device's account connect once. So beside a running device they play a stranger; else they log in as
the device, without last will and status.
"""

import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as paho

from broker import topics
from broker.messages import Heard, ServerStatus, Stored, WireError, decode, encode
from common import addresses, mqtt
from common.mqtt import Endpoint
from common.probe import Probe, lets_in
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


def check(settings: DeviceSettings, device: str) -> list[Finding]:
    """Connect, subscribe, and have one record answered."""
    endpoint = mqtt.parse_url(settings.mqtt_url)
    account = settings.mqtt_username or device
    try:
        with _connected(settings, endpoint, account) as (client, probe):
            _subscribe(client, device, probe)
            return [_secured(endpoint, account), _server(client, settings, device, probe)]
    except (_RefusedError, ValueError) as error:  # ValueError: certificates that cannot be used
        seen, todo = error.args if isinstance(error, _RefusedError) else (str(error), "correct that setting")
        skipped = Finding("server", "skip", "not checked, because there is no connection to the broker")
        return [Finding("broker", "fail", seen, todo), skipped]


def check_beside(settings: DeviceSettings, device: str) -> list[Finding]:
    """Connect with a wrong password, so that a running device keeps the one connection of its account."""
    endpoint = mqtt.parse_url(settings.mqtt_url)
    todo = "read the device's log, or stop it and run the doctor again"
    server = Finding("server", "skip", "not checked, because the device runs, and its account connects once", todo)
    try:
        client = _client(settings, endpoint, settings.mqtt_username or device, secrets.token_hex(8))
        is_open = lets_in(client, lambda: _open(client, endpoint), ANSWER_S)
    except (_RefusedError, ValueError) as error:
        seen, todo = error.args if isinstance(error, _RefusedError) else (str(error), "correct that setting")
        return [Finding("broker", "fail", seen, todo), server]
    if is_open:
        todo = "start Mosquitto with the configuration of `moodwire setup`"
        return [Finding("broker", "warn", f"{endpoint} takes any password", todo), server]
    return [Finding("broker", "ok", f"{endpoint} is there, and refuses a wrong password"), server]


def _secured(endpoint: Endpoint, account: str) -> Finding:
    """Report a broker that accepts this device, with a warning if others could listen in."""
    secured = "with TLS" if endpoint.tls else "without TLS"
    seen = f"{endpoint}, {secured}, accepts {account} and its subscriptions"
    if endpoint.tls or addresses.is_loopback(endpoint.host):
        return Finding("broker", "ok", seen)
    return Finding("broker", "warn", seen, "use mqtts:// unless you trust the network")


@contextmanager
def _connected(settings: DeviceSettings, endpoint: Endpoint, account: str) -> Iterator[tuple[paho.Client, Probe]]:
    client = _client(settings, endpoint, account, settings.mqtt_password)
    probe = Probe(client, ANSWER_S)
    _open(client, endpoint)
    client.loop_start()
    try:
        _log_in(endpoint, account, probe)
        yield client, probe
    finally:
        client.disconnect()
        client.loop_stop()


def _client(settings: DeviceSettings, endpoint: Endpoint, account: str, password: str) -> paho.Client:
    client = mqtt.client(
        account,
        password,
        mqtt.tls_context(*settings.mqtt_files) if endpoint.tls else None,
        client_id=f"moodwire-doctor-{secrets.token_hex(4)}",
        protocol=mqtt.VERSIONS[settings.mqtt_version],
        reconnect_on_failure=False,
    )
    client.connect_timeout = ANSWER_S
    return client


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


def _log_in(endpoint: Endpoint, account: str, probe: Probe) -> None:
    try:
        reason = probe.connected()
    except TimeoutError as error:
        todo = "use mqtts:// if it has TLS; else check that mqtt_url names the port of a broker"
        raise _RefusedError(f"{endpoint} accepts the connection and says nothing", todo) from error
    if reason.is_failure:
        todo = "check mqtt_password and mqtt_username; `moodwire setup --device …` on the server makes an account"
        raise _RefusedError(f"{endpoint} refuses {account}: {reason}", todo)


def _subscribe(client: paho.Client, device: str, probe: Probe) -> None:
    wanted = [topics.topic(device, "stored"), topics.SERVER_STATUS]
    client.subscribe([(name, 1) for name in wanted])
    try:
        refused = probe.refused(wanted)
    except TimeoutError as error:
        raise _RefusedError("the broker does not answer a subscription", "read the broker's log") from error
    if refused:
        todo = f"allow the account what broker/mosquitto.acl allows device {device}"
        raise _RefusedError(f"the broker does not let this account subscribe to {', '.join(refused)}", todo)


def _server(client: paho.Client, settings: DeviceSettings, device: str, probe: Probe) -> Finding:
    """Report the server's status, as the broker tells it to a device, and whether the server answers."""
    if settings.confirm == "broker":
        return Finding("server", "skip", "not checked, because confirm = broker needs no server")
    payload = probe.message(topics.SERVER_STATUS)
    try:
        if payload is not None and decode(payload, ServerStatus).state == "offline":
            seen = "the server is offline: ingest or its store does not run"
            return Finding("server", "fail", seen, "start both on the server; records wait in the outbox until then")
    except WireError as error:
        seen = f"{topics.SERVER_STATUS} holds no status of a server ({error}), so records wait in the outbox"
        todo = f"start `moodwire server ingest`, which publishes it again; {SAME_VERSION}"
        return Finding("server", "fail", seen, todo)
    try:
        return _round_trip(client, device, probe, is_told=payload is not None)
    except WireError as error:
        return Finding("server", "fail", f"an answer of the server is malformed: {error}", SAME_VERSION)


def _round_trip(client: paho.Client, device: str, probe: Probe, *, is_told: bool) -> Finding:
    """Send one record and wait for its answer, which comes from the store through ingest and broker.

    Args:
        client: Connected and subscribed.
        device: The device's id.
        probe: Takes what arrives.
        is_told: Whether the broker has told this account that the server is online.
    """
    sent = _expired_record()
    start_s = time.monotonic()
    client.publish(topics.topic(device, "heard"), encode(sent), qos=1)
    while payload := probe.message(topics.topic(device, "stored")):
        answer = decode(payload, Stored)
        if answer.boot == sent.boot:  # else it answers a running device
            break
    else:
        if not is_told:
            seen = "the broker knows of no server, or does not tell this account of one"
            return Finding("server", "fail", seen, "start `moodwire server ingest`; set mqtt_username to the device id")
        seen = f"the server is online, but has not answered a record within {ANSWER_S:g} s"
        return Finding("server", "fail", seen, "set mqtt_username to the device id; if it is, read the log of ingest")
    took_ms = (time.monotonic() - start_s) * 1000
    if not is_told:
        seen = "the server answers, but the broker does not tell this account of it, so records wait in the outbox"
        return Finding("server", "fail", seen, f"let the account read {topics.SERVER_STATUS}, as broker/mosquitto.acl")
    if answer.expired or answer.erased or answer.later:
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
