"""`moodwire setup`: makes secrets and the broker's configuration for services that an operator runs."""

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
    listen: str = ts.option(default="127.0.0.1", help="address that the broker listens on")
    port: int = ts.option(default=1883, help="port that the broker listens on")


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
    broker.embedded.write_mosquitto(folder, settings.listen, settings.port, accounts)
    print(f"Mosquitto: mosquitto -c {folder / 'mosquitto.conf'} (reloads accounts on SIGHUP)")
    print(f"Secrets:   {settings.folder / 'secrets'}")
    if device:
        print(f"The device's password, for its MOODWIRE_MQTT_PASSWORD: see {keys.device_path(device)}")
    if home:
        print(f"Home Assistant logs in as {broker.embedded.HOME_ASSISTANT_ACCOUNT}; its password: see {home}")
    return 0
