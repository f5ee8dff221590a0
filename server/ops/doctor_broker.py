"""The doctor's check of the broker: it can be reached, and the account may read and write what ingest needs."""

import queue
import secrets
import ssl
from typing import Any

import paho.mqtt.client as paho

from broker import topics
from common import mqtt
from common.report import Finding
from server import mqtt_endpoint
from server.settings import ServerSettings

_ANSWER_S = 5.0
_NOBODY = "000000000000"
"""No device has this id, so nobody receives what the check publishes."""


class _RefusedError(Exception):
    """The check failed; the arguments are what is seen and what to do."""


def check(settings: ServerSettings) -> list[Finding]:
    """Connect beside ingest, subscribe to readings, and publish something that comes back.

    Raises:
        UnusableError: the broker's URL or certificate is not usable.
    """
    try:
        return [Finding("broker", "ok", _talk(settings))]
    except _RefusedError as error:
        return [Finding("broker", "fail", *error.args)]


def _talk(settings: ServerSettings) -> str:
    """Return what is seen when all is well."""
    where = mqtt_endpoint.endpoint(settings)
    place = str(where)
    account = settings.mqtt_username or "no account"
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # A client id of its own leaves a running ingest its session; no last will.
    client = mqtt.client(
        settings.mqtt_username,
        settings.mqtt_password,
        mqtt_endpoint.tls(settings),
        client_id=f"moodwire-doctor-{secrets.token_hex(4)}",
    )
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.put(reason)
    client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: answers.put(reasons)
    client.on_message = lambda _client, _data, message: answers.put(bytes(message.payload))
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
        reason = _next(answers, f"{place} takes the connection and says nothing")
        if reason.is_failure:
            todo = "set mqtt_username and mqtt_password as `moodwire setup` made them"
            raise _RefusedError(f"{place} refuses {account}: {reason}", todo)
        _hear_and_say(client, answers, place, account)
    finally:
        client.disconnect()
        client.loop_stop()
    return f"{place} lets {account} hear devices and answer them, {'with' if where.tls else 'without'} TLS"


def _hear_and_say(client: paho.Client, answers: "queue.SimpleQueue[Any]", place: str, account: str) -> None:
    """Subscribe and publish as ingest does, for a device that does not exist."""
    todo = "let the account read and write moodwire/v1/# (broker/mosquitto.acl)"
    echo = topics.topic(_NOBODY, "stored")
    wanted = [topics.subscription("reading").replace("+", _NOBODY), echo]
    client.subscribe([(name, 1) for name in wanted])
    reasons = _next(answers, f"{place} does not answer a subscription")
    refused = [name for name, reason in zip(wanted, reasons, strict=False) if reason.is_failure]
    if refused:
        raise _RefusedError(f"{place} does not let {account} hear {', '.join(refused)}", todo)
    word = secrets.token_bytes(8)
    client.publish(echo, word, qos=1)
    seen = f"{place} does not let {account} write {echo}, or hear it"
    if _next(answers, seen, todo) != word:  # some brokers end the connection instead
        raise _RefusedError(seen, todo)


def _next(answers: "queue.SimpleQueue[Any]", seen: str, todo: str = "look into the broker's log") -> Any:
    """Return what comes next from the broker.

    Raises:
        _RefusedError: nothing came in time; `seen` says so.
    """
    try:
        return answers.get(timeout=_ANSWER_S)
    except queue.Empty as error:
        raise _RefusedError(f"{seen} ({_ANSWER_S:g} s)", todo) from error
