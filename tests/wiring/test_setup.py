"""`moodwire setup`: accounts that stay, for who asks for them."""

from pathlib import Path

import pytest

from broker.topics import COMMANDS, command
from wiring.setup import SetupSettings, setup


def accounts(folder: Path) -> dict[str, str]:
    """Return the accounts of the written Mosquitto configuration with their password hashes."""
    return dict(line.split(":", 1) for line in (folder / "broker" / "passwords").read_text().splitlines())


def test_home_assistant_gets_an_account_when_asked_and_keeps_it(tmp_path: Path) -> None:
    """Without the flag there is no such account; once made, it stays with its password."""
    assert setup(SetupSettings(folder=tmp_path)) == 0
    assert accounts(tmp_path).keys() == {"server", "alerts"}

    assert setup(SetupSettings(folder=tmp_path, home_assistant=True)) == 0
    password = (tmp_path / "secrets" / "homeassistant-password").read_text()
    assert setup(SetupSettings(folder=tmp_path, device="aa:bb:cc:dd:ee:ff")) == 0

    assert accounts(tmp_path).keys() == {"server", "alerts", "homeassistant", "aabbccddeeff"}
    assert (tmp_path / "secrets" / "homeassistant-password").read_text() == password


def listener(folder: Path) -> str:
    """Return the listener of the written Mosquitto configuration: port and address."""
    lines = (folder / "broker" / "mosquitto.conf").read_text().splitlines()
    return next(line.removeprefix("listener ") for line in lines if line.startswith("listener "))


def test_listener_stays_until_it_is_set_again(tmp_path: Path) -> None:
    """A further device does not lock out those that connect from other machines."""
    assert setup(SetupSettings(folder=tmp_path)) == 0
    assert listener(tmp_path) == "1883 127.0.0.1"
    assert setup(SetupSettings(folder=tmp_path, listen="0.0.0.0", port=1884)) == 0
    assert listener(tmp_path) == "1884 0.0.0.0"

    assert setup(SetupSettings(folder=tmp_path, device="aa:bb:cc:dd:ee:ff")) == 0
    assert listener(tmp_path) == "1884 0.0.0.0"

    assert setup(SetupSettings(folder=tmp_path, listen="127.0.0.1")) == 0
    assert listener(tmp_path) == "1884 127.0.0.1"


def test_what_people_add_to_the_broker_stays(tmp_path: Path) -> None:
    """A file in conf.d, such as one with certificates, is left alone when setup runs again."""
    assert setup(SetupSettings(folder=tmp_path)) == 0
    added = tmp_path / "broker" / "conf.d" / "tls.conf"
    added.write_text("listener 8883\n")

    assert setup(SetupSettings(folder=tmp_path)) == 0

    assert added.read_text() == "listener 8883\n"


def test_a_second_setup_brings_new_access_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Home Assistant may send commands after an update, without a new password."""
    assert setup(SetupSettings(folder=tmp_path, home_assistant=True)) == 0
    rules = tmp_path / "broker" / "acl"
    new = rules.read_text()
    rules.write_text(new.replace("topic write moodwire/v1/+/cmd/", "# "))

    assert setup(SetupSettings(folder=tmp_path, home_assistant=True)) == 0

    assert rules.read_text() == new
    assert {line for line in new.splitlines() if line.startswith("topic write moodwire/v1/+/")} == {
        f"topic write {command('+', name)}" for name in COMMANDS
    }
    assert "logs in as homeassistant, to read devices and to send them commands" in capsys.readouterr().out
