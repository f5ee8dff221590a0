"""The embedded broker, for the demo: Mosquitto where it is installed, else amqtt (PyPI, pure Python).

amqtt acknowledges a message before it delivers it and forgets everything when it is killed. That loses nothing,
because a device keeps every record until the server's own `stored` arrives.
"""

import base64
import getpass
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import NamedTuple

from broker import topics
from common import files

SERVER_ACCOUNT = "server"
"""Account of ingest; a device's account is its id. Each further ingest has one of its own: see `server_account`."""
ALERTS_ACCOUNT = "alerts"
"""Account of `moodwire server alerts`; it publishes alerts and reads nothing."""
HOME_ASSISTANT_ACCOUNT = "homeassistant"
"""Account of Home Assistant, or another home automation; it reads, and it sends commands."""

_HERE = Path(__file__).parent
_PBKDF2_ROUNDS = 101
"""As mosquitto_passwd. The passwords are 256 random bits, so more rounds would protect nothing."""


def server_account(number: int) -> str:
    """Return the account of an ingest by its number: `server` for 1, `server-2` for 2, and so on.

    A broker that takes the account as the client id lets each account connect once.
    """
    return SERVER_ACCOUNT if number == 1 else f"{SERVER_ACCOUNT}-{number}"


def is_server(account: str) -> bool:
    """Return whether an account is that of an ingest."""
    return account == SERVER_ACCOUNT or account.startswith(f"{SERVER_ACCOUNT}-")


class BrokerStart(NamedTuple):
    """How to start the broker as a child process."""

    name: str
    """For people."""
    argv: list[str]


def prepare(folder: Path, host: str, port: int, accounts: dict[str, str]) -> BrokerStart:
    """Write configuration, accounts and access rules into a folder and return how to start it.

    Args:
        folder: Made if need be, readable by its owner only.
        host: Address to listen on.
        port: Port to listen on.
        accounts: User name → password: `server`, perhaps more ingests, `alerts`, `homeassistant`, and each device's id.
    """
    binary = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if binary is None:
        return prepare_amqtt(folder, host, port, accounts)
    return BrokerStart("Mosquitto", [binary, "-c", str(write_mosquitto(folder, host, port, accounts))])


def write_mosquitto(folder: Path, host: str, port: int, accounts: dict[str, str]) -> Path:
    """Write Mosquitto's configuration into a folder and return its main file."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "conf.d").mkdir(exist_ok=True, mode=0o700)
    template = Template((_HERE / "mosquitto.conf").read_text())
    # Started as root without this, Mosquitto becomes another user, who cannot read this folder.
    conf = template.substitute(port=port, host=host, folder=folder.absolute(), user=_user())
    _write_secret(folder / "acl", _access_rules(accounts))
    lines = [f"{user}:{_mosquitto_hash(password)}\n" for user, password in accounts.items()]
    _write_secret(folder / "passwords", "".join(lines))
    _write_secret(folder / "mosquitto.conf", conf)
    return folder / "mosquitto.conf"


def _access_rules(accounts: Iterable[str]) -> str:
    """Return the access rules for Mosquitto, with those of `server` repeated for each further ingest."""
    rules = (_HERE / "mosquitto.acl").read_text()
    first = f"user {SERVER_ACCOUNT}\n"
    of_server = rules[rules.index(first) :].partition("\n\n")[0]
    others = sorted(account for account in accounts if is_server(account) and account != SERVER_ACCOUNT)
    return "\n".join([rules, *(f"user {account}\n{of_server.removeprefix(first)}\n" for account in others)])


def prepare_amqtt(folder: Path, host: str, port: int, accounts: dict[str, str]) -> BrokerStart:
    """Write amqtt's configuration into a folder and return how to start it."""
    from pwdlib.hashers.argon2 import Argon2Hasher  # noqa: PLC0415 - comes with amqtt, which only the demo installs

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    hasher = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)  # as _PBKDF2_ROUNDS
    lines = [f"{user}:{hasher.hash(password)}\n" for user, password in accounts.items()]
    _write_secret(folder / "passwords.amqtt", "".join(lines))
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
        "plugins": {
            "amqtt.plugins.authentication.FileAuthPlugin": {
                "password_file": str(folder.absolute() / "passwords.amqtt")
            },
            "amqtt.plugins.topic_checking.TopicAccessControlListPlugin": {
                "publish_acl": {user: _may_publish(user) for user in accounts},
                "acl": {user: _may_subscribe(user) for user in accounts},
            },
        },
    }
    _write_secret(folder / "amqtt.json", json.dumps(config, indent=2))  # JSON is YAML, which amqtt reads
    # -P keeps the current folder out of the import path: an `amqtt.py` or `typing.py` there is not meant.
    argv = [sys.executable, "-P", "-m", "broker.guarded_amqtt", "-c", str(folder / "amqtt.json")]
    return BrokerStart("amqtt (pure Python)", argv)


def _user() -> str:
    """Return the user of this process, or Mosquitto's own for one without a name, which Mosquitto then ignores."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that no user has
        return "mosquitto"


def _may_publish(user: str) -> list[str]:
    if is_server(user):
        return [f"{topics.ROOT}/#", topics.home_assistant("+")]
    if user == ALERTS_ACCOUNT:
        return [f"{topics.ALERTS}/#"]
    if user == HOME_ASSISTANT_ACCOUNT:
        return [topics.HOME_ASSISTANT_STATUS, *(topics.command("+", name) for name in topics.COMMANDS)]
    return [
        *(topics.topic(user, kind) for kind in topics.FROM_DEVICE),
        topics.topic(user, "state"),
        topics.home_assistant(user),
    ]


def _may_subscribe(user: str) -> list[str]:
    if is_server(user):
        return [f"{topics.ROOT}/#"]
    if user == ALERTS_ACCOUNT:
        return []
    if user == HOME_ASSISTANT_ACCOUNT:
        return ["homeassistant/#", *(topics.topic("+", kind) for kind in ("state", "status", "health"))]
    return [
        topics.topic(user, "status"),
        topics.topic(user, "stored"),
        topics.topic(user, "generation"),
        *(topics.command(user, name) for name in topics.COMMANDS),
        topics.SERVER_STATUS,
        topics.HOME_ASSISTANT_STATUS,
    ]


def _mosquitto_hash(password: str) -> str:
    """Return a password as Mosquitto 2 stores it: `$7$rounds$salt$hash`, PBKDF2 with SHA-512 (mosquitto_passwd(1))."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _PBKDF2_ROUNDS)
    return f"$7${_PBKDF2_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.unlink(missing_ok=True)
    files.create_private(path, text)
