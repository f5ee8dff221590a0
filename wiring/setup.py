"""`moodwire setup`: makes secrets and the broker's configuration for services that an operator runs."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import typed_settings as ts

import broker.embedded
from broker.topics import device_id
from wiring.keys import Keys

_MOST_INGESTS = 100
_ONE_EACH = "use_username_as_clientid true"
"""What a listener needs so that no account can take over the connection of another one."""


@ts.settings(frozen=True)
class SetupSettings:
    """Settings of `moodwire setup`."""

    folder: Path = ts.option(default=Path("config"), help="folder for secrets/ and broker/; existing secrets stay")
    device: str = ts.option(default="", help="MAC address of a device to make an account for at the broker")
    ingests: int = ts.option(default=1, help="ingests to make an account each for at the broker; existing ones stay")
    home_assistant: bool = ts.option(default=False, help="make an account for Home Assistant at the broker")
    listen: str | None = ts.option(
        default=None, help="address that the broker listens on; by default the address set before, at first 127.0.0.1"
    )
    port: int | None = ts.option(
        default=None, help="port that the broker listens on; by default the port set before, at first 1883"
    )

    def __attrs_post_init__(self) -> None:
        """Check what types alone cannot.

        Raises:
            ValueError: a value is out of its range.
        """
        if not 1 <= self.ingests <= _MOST_INGESTS:
            raise ValueError(f"ingests is {self.ingests}; set 1 to {_MOST_INGESTS}")


def setup(settings: SetupSettings) -> int:
    """Make missing secrets, write the broker's files from all secrets, and print where everything is."""
    try:
        device = device_id(settings.device) if settings.device else None
    except ValueError as error:
        print(f"device: {error}", file=sys.stderr)
        return 2
    keys = Keys(settings.folder / "secrets")
    if device:
        keys.add_device(device)
    keys.add_servers(settings.ingests)
    home = keys.add_home_assistant() if settings.home_assistant else None
    folder = settings.folder / "broker"
    conf = folder / "mosquitto.conf"
    before = conf.read_text() if conf.exists() else ""
    port, host = _listener(before)
    broker.embedded.write_mosquitto(folder, settings.listen or host, settings.port or port, keys.accounts())
    print(f"Mosquitto: mosquitto -c {conf} (reloads accounts on SIGHUP)")
    for line in _changes(before, conf.read_text(), settings.folder / "secrets"):
        print(line)
    for line in _open_listeners(folder / "conf.d"):
        print(line, file=sys.stderr)
    print(f"Secrets:   {settings.folder / 'secrets'}")
    if device:
        print(f"The device's password, for its MOODWIRE_MQTT_PASSWORD: see {keys.device_path(device)}")
    for number in range(2, settings.ingests + 1):
        account = broker.embedded.server_account(number)
        print(f"A further ingest logs in as {account}; its password: see {keys.server_path(number)}")
    if settings.ingests > 1:
        print(f"All ingests have one mqtt_share: see {keys.path('ingest-share')}")
    if home:
        print(
            f"Home Assistant logs in as {broker.embedded.HOME_ASSISTANT_ACCOUNT}, to read devices and to send them "
            f"commands; its password: see {home}"
        )
    return 0


def _listener(conf: str) -> tuple[int, str]:
    """Return port and address of the existing configuration; 1883 on loopback if there is none."""
    found = re.search(r"^listener (\d+) (\S+)$", conf, re.MULTILINE)
    return (int(found[1]), found[2]) if found else (1883, "127.0.0.1")


def _changes(before: str, after: str, secrets: Path) -> Iterator[str]:
    """Yield what to do about a configuration that replaces another one."""
    if before in ("", after):
        return
    yield "Mosquitto's configuration has changed: restart Mosquitto, a SIGHUP is not enough."
    if _ONE_EACH not in before:
        alerts = broker.embedded.ALERTS_ACCOUNT
        yield (
            f"From then on each account has one connection at a time: let `moodwire server alerts` log in as {alerts} "
            f"({secrets / alerts}-password), and each further ingest with an account of its own (--ingests)."
        )


def _open_listeners(folder: Path) -> Iterator[str]:
    """Yield a warning for each listener of the operator's own on which an account can take over that of ingest."""
    for path in sorted(folder.glob("*.conf")):
        for part in re.split(r"^(?=listener\b)", path.read_text(), flags=re.MULTILINE):
            if part.startswith("listener") and not re.search(rf"^{_ONE_EACH}$", part, re.MULTILINE):
                where = part.splitlines()[0]
                yield f"{path}: any account can throw out ingest over `{where}`; write below it: {_ONE_EACH}"
