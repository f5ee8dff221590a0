"""The doctor's checks of the broker: whom it lets in, how many, what the account may do, and what devices are told."""

import secrets
import ssl
from functools import partial
from pathlib import Path

import paho.mqtt.client as paho

from broker import topics
from broker.messages import ServerStatus, WireError, decode
from common import mqtt
from common.probe import Probe, lets_in
from common.report import Finding
from server import mqtt_endpoint
from server.errors import StoreAwayError
from server.settings import ServerSettings
from server.store.redis_store import RedisStore

_ANSWER_S = 5.0
_RETAINED_S = 1.0
"""How long what is retained may come after what was published later."""
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
_NOBODY = "000000000000"
"""No device has this id, so nobody receives what the check publishes."""


_LEAST_FILES = 10_240
"""Open files that Mosquitto needs for its max_connections (broker/mosquitto.conf)."""


class _RefusedError(Exception):
    """The check failed; the arguments are what is seen and what to do."""


def check(store: RedisStore, settings: ServerSettings) -> list[Finding]:
    """Play a stranger; then take ingest's word for what its account may do, or log in as ingest where none runs.

    A broker that lets each account connect once would throw out an ingest that runs.

    Raises:
        UnusableError: the broker's URL or certificate is not usable.
    """
    about_all = [_strangers(settings), _files(settings)]
    try:
        ingest = store.ingest_state(settings.mqtt_username)
    except StoreAwayError:
        ingest = None
    if ingest:
        place, account = mqtt_endpoint.endpoint(settings), settings.mqtt_username or "no account"
        seen = f"{place} lets {account} hear devices and answer them: ingest does so"
        return [*about_all, Finding("broker", "ok", seen), _server_status(ingest.told.encode() or None)]
    try:
        seen, status = _talk(settings)
    except _RefusedError as error:
        skipped = Finding("server_status", "skip", "not checked, because the broker cannot be used")
        return [*about_all, Finding("broker", "fail", *error.args), skipped]
    return [*about_all, Finding("broker", "ok", seen), _server_status(status)]


def _strangers(settings: ServerSettings) -> Finding:
    """Try to get in without an account, with the wrong password, and with an account that nobody has made."""
    name = "broker_strangers"
    where, tls = mqtt_endpoint.endpoint(settings), mqtt_endpoint.tls(settings)
    nobody, wrong = f"nobody-{secrets.token_hex(4)}", secrets.token_hex(8)
    strangers = {
        "without an account": ("", ""),
        "with any password": (settings.mqtt_username or nobody, wrong),
        "with any account": (nobody, wrong),
    }
    for how, login in strangers.items():
        client = mqtt.client(*login, tls)
        connect = partial(client.connect, where.host, where.port, int(_ANSWER_S))
        try:
            is_in = lets_in(client, connect, _ANSWER_S)
        except OSError:  # `_talk` says why
            return Finding(name, "skip", f"not checked, because {where} cannot be reached")
        if is_in:
            todo = "stop it (Debian's own: `sudo systemctl disable --now mosquitto`), and start Mosquitto with the "
            return Finding(name, "fail", f"{where} lets anybody in {how}", f"{todo}configuration of `moodwire setup`")
    return Finding(name, "ok", f"{where} refuses strangers and wrong passwords")


def _files(settings: ServerSettings) -> Finding:
    """Look how many files, and so connections, a Mosquitto on this machine may open."""
    name = "broker_files"
    limits = [limit for path in Path("/proc").glob("[0-9]*") if (limit := _open_files(path)) is not None]
    if mqtt_endpoint.endpoint(settings).host not in _THIS_MACHINE or not limits:
        return Finding(name, "skip", "not checked, because no Mosquitto is seen on this machine")
    seen = f"Mosquitto may open {min(limits)} files, one for each connection"
    if min(limits) >= _LEAST_FILES:
        return Finding(name, "ok", seen)
    todo = (
        f"run `ulimit -n 16384` before you start it, or set LimitNOFILE=16384 in its service; it needs {_LEAST_FILES}"
    )
    return Finding(name, "warn", f"{seen}: as many strangers keep all devices out", todo)


def _open_files(process: Path) -> int | None:
    """Return how many files a process may open if it is Mosquitto, else None."""
    try:
        if (process / "comm").read_text().strip() != "mosquitto":
            return None
        lines = (process / "limits").read_text().splitlines()
    except OSError:  # it has ended, or another user may not look
        return None
    soft = next((line.split()[3] for line in lines if line.startswith("Max open files")), "")
    return int(soft) if soft.isdecimal() else None


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
