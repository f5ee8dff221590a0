"""`moodwire setup`: makes secrets and the broker's configuration for services that an operator runs."""

import re
import sys
from pathlib import Path

import typed_settings as ts

import broker.embedded
from broker.topics import device_id
from wiring.keys import Keys


@ts.settings(frozen=True)
class SetupSettings:
    """Settings of `moodwire setup`."""

    folder: Path = ts.option(default=Path("config"), help="folder for secrets/ and broker/; existing secrets stay")
    device: str = ts.option(default="", help="MAC address of a device to make an account for at the broker")
    home_assistant: bool = ts.option(default=False, help="make an account for Home Assistant at the broker")
    listen: str | None = ts.option(
        default=None, help="address that the broker listens on; by default the address set before, at first 127.0.0.1"
    )
    port: int | None = ts.option(
        default=None, help="port that the broker listens on; by default the port set before, at first 1883"
    )


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
    home = keys.add_home_assistant() if settings.home_assistant else None
    folder = settings.folder / "broker"
    accounts = keys.accounts(broker.embedded.SERVER_ACCOUNT, broker.embedded.HOME_ASSISTANT_ACCOUNT)
    port, host = _listener(folder / "mosquitto.conf")
    broker.embedded.write_mosquitto(folder, settings.listen or host, settings.port or port, accounts)
    print(f"Mosquitto: mosquitto -c {folder / 'mosquitto.conf'} (reloads accounts on SIGHUP)")
    print(f"Secrets:   {settings.folder / 'secrets'}")
    if device:
        print(f"The device's password, for its MOODWIRE_MQTT_PASSWORD: see {keys.device_path(device)}")
    if home:
        print(
            f"Home Assistant logs in as {broker.embedded.HOME_ASSISTANT_ACCOUNT}, to read devices and to send them "
            f"commands; its password: see {home}"
        )
    return 0


def _listener(conf: Path) -> tuple[int, str]:
    """Return port and address of the existing configuration; 1883 on loopback if there is none."""
    found = re.search(r"^listener (\d+) (\S+)$", conf.read_text(), re.MULTILINE) if conf.exists() else None
    return (int(found[1]), found[2]) if found else (1883, "127.0.0.1")
