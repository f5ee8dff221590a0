"""The doctor's checks of the broker: what the account may read and write there, and what devices are told.

The account may read and write what ingest needs; the broker tells devices that the server is online.
"""

import secrets
import ssl

import paho.mqtt.client as paho

from broker import topics
from broker.messages import ServerStatus, WireError, decode
from common import mqtt
from common.probe import Probe
from common.report import Finding
from server import mqtt_endpoint
from server.settings import ServerSettings

_ANSWER_S = 5.0
_RETAINED_S = 1.0
"""How long what is retained may come after what was published later."""
_NOBODY = "000000000000"
"""No device has this id, so nobody receives what the check publishes."""


class _RefusedError(Exception):
    """The check failed; the arguments are what is seen and what to do."""


def check(settings: ServerSettings) -> list[Finding]:
    """Connect beside ingest, subscribe to readings, publish something that comes back, and read the server's status.

    Raises:
        UnusableError: the broker's URL or certificate is not usable.
    """
    try:
        seen, status = _talk(settings)
    except _RefusedError as error:
        skipped = Finding("server_status", "skip", "not checked, because the broker cannot be used")
        return [Finding("broker", "fail", *error.args), skipped]
    return [Finding("broker", "ok", seen), _server_status(status)]


def _server_status(payload: bytes | None) -> Finding:
    """Report the status of the server that the broker holds for devices."""
    todo = "start `moodwire server ingest`, which publishes it; until then devices keep their records"
    if payload is None:
        return Finding("server_status", "fail", f"the broker holds nothing on {topics.SERVER_STATUS}", todo)
    try:
        state = decode(payload, ServerStatus).state
    except WireError as error:
        seen = f"{topics.SERVER_STATUS} holds no status of a server ({error})"
        return Finding("server_status", "fail", seen, f"{todo}; if it comes back, look for who else publishes there")
    seen = f"the broker tells devices that the server is {state}"
    if state == "offline":
        return Finding("server_status", "fail", seen, todo)
    return Finding("server_status", "ok", seen)


def _talk(settings: ServerSettings) -> tuple[str, bytes | None]:
    """Return what is seen when all is well, and the retained status of the server."""
    where = mqtt_endpoint.endpoint(settings)
    place = str(where)
    account = settings.mqtt_username or "no account"
    # A client id of its own leaves a running ingest its session; no last will.
    client = mqtt.client(
        settings.mqtt_username,
        settings.mqtt_password,
        mqtt_endpoint.tls(settings),
        client_id=f"moodwire-doctor-{secrets.token_hex(4)}",
    )
    probe = Probe(client, _ANSWER_S)
    try:
        client.connect(where.host, where.port, keepalive=int(_ANSWER_S))
    except ssl.SSLCertVerificationError as error:
        seen = f"{place} shows a certificate that is not trusted: {error.verify_message}"
        raise _RefusedError(seen, "let mqtt_ca_file name the CA that signed it, and mqtt_url its name") from error
    except OSError as error:
        seen = f"{place} cannot be reached: {error.strerror or error}"
        raise _RefusedError(seen, "start it, or let mqtt_url name the right one; mqtts:// is for TLS") from error
    client.loop_start()
    try:
        status = _hear_and_say(client, probe, place, account)
    finally:
        client.disconnect()
        client.loop_stop()
    seen = f"{place} lets {account} hear devices and answer them, {'with' if where.tls else 'without'} TLS"
    return seen, status


def _hear_and_say(client: paho.Client, probe: Probe, place: str, account: str) -> bytes | None:
    """Log in, subscribe and publish as ingest does, for a device that does not exist; return the server's status."""
    todo = "let the account read and write moodwire/v1/# (broker/mosquitto.acl)"
    echo = topics.topic(_NOBODY, "stored")
    wanted = [topics.subscription("reading").replace("+", _NOBODY), echo, topics.SERVER_STATUS]
    seen = "takes the connection and says nothing"
    try:
        reason = probe.connected()
        if reason.is_failure:
            todo = "set mqtt_username and mqtt_password as `moodwire setup` made them"
            raise _RefusedError(f"{place} refuses {account}: {reason}", todo)
        seen = "does not answer a subscription"
        client.subscribe([(name, 1) for name in wanted])
        refused = probe.refused(wanted)
    except TimeoutError as error:
        raise _RefusedError(f"{place} {seen} ({_ANSWER_S:g} s)", "look into the broker's log") from error
    if refused:
        raise _RefusedError(f"{place} does not let {account} hear {', '.join(refused)}", todo)
    word = secrets.token_bytes(8)
    client.publish(echo, word, qos=1)
    if probe.message(echo) != word:  # some brokers end the connection instead
        raise _RefusedError(f"{place} does not let {account} write {echo}, or hear it ({_ANSWER_S:g} s)", todo)
    return probe.message(topics.SERVER_STATUS, _RETAINED_S)
