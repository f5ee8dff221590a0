"""The discovery message is one that Home Assistant takes, and its topics are those that the access rules allow.

The tables are from the documentation of MQTT discovery and of each platform (https://www.home-assistant.io/integrations/
mqtt/, sensor.mqtt/, switch.mqtt/, number.mqtt/, select.mqtt/ and button.mqtt/), compared on 30 November 2026 with the
schemas that Home Assistant 2026.11.0 checks a message with (`homeassistant/components/mqtt`).
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from brokers import DEVICE
from home_assistant import entities, rendered, shown
from msgspec.structs import replace
from paho.mqtt.client import topic_matches_sub
from records import status

from broker import embedded, topics
from broker.messages import Command, ModelCommand, SetCommand, Status, decode, encode
from device.delivery.home_assistant import announcement

ROOT = frozenset(
    [
        "device",
        "origin",
        "components",
        "availability",
        "availability_mode",
        "availability_template",
        "availability_topic",
        "payload_available",
        "payload_not_available",
        "state_topic",
        "command_topic",
        "qos",
        "encoding",
        "message_expiry_interval",
        "child_devices",
    ]
)
DEVICE_KEYS = frozenset(
    [
        "identifiers",
        "connections",
        "name",
        "manufacturer",
        "model",
        "model_id",
        "hw_version",
        "sw_version",
        "serial_number",
        "via_device",
        "suggested_area",
        "configuration_url",
    ]
)
ORIGIN = frozenset({"name", "sw_version", "support_url"})
AVAILABILITY = frozenset({"topic", "payload_available", "payload_not_available", "value_template"})
EVERY = frozenset(
    [
        "platform",
        "unique_id",
        "default_entity_id",
        "name",
        "icon",
        "entity_category",
        "entity_picture",
        "enabled_by_default",
        "visible_by_default",
        "json_attributes_topic",
        "json_attributes_template",
        "device",
        "origin",
        "availability",
        "availability_mode",
        "availability_template",
        "availability_topic",
        "payload_available",
        "payload_not_available",
        "qos",
        "encoding",
        "group",
        "message_expiry_interval",
    ]
)
COMMANDED = frozenset({"command_topic", "command_template", "retain"})
STATED = frozenset({"state_topic", "value_template", "optimistic"})
ALLOWED = {
    "sensor": EVERY
    | {"state_topic", "value_template", "device_class", "expire_after", "force_update", "last_reset_value_template"}
    | {"options", "state_class", "suggested_display_precision", "unit_of_measurement"},
    "switch": EVERY | COMMANDED | STATED | {"device_class", "payload_on", "payload_off", "state_on", "state_off"},
    "number": EVERY | COMMANDED | STATED
    | {"device_class", "min", "max", "mode", "step", "payload_reset", "unit_of_measurement"},
    "select": EVERY | COMMANDED | STATED | {"options"},
    "button": EVERY | COMMANDED | {"device_class", "payload_press"},
}  # fmt: skip
REQUIRED = {
    "sensor": {"state_topic"},
    "switch": {"command_topic"},
    "number": {"command_topic"},
    "select": {"command_topic", "options"},
    "button": {"command_topic"},
}
UNITS = {"temperature": {"°C", "°F", "K"}, "duration": {"d", "h", "min", "s", "ms", "μs"}}
"""Units that a device class takes."""
UNCHANGED = {"emotion", "ang", "hap", "neu", "level", "cpu", "temperature", "outbox", "inference", "capture"}
"""Sensors that version 0.2.0 announced; another unique_id would make a second entity of each."""
SENT = {"switch": ("true", "false"), "number": (-45, -45.5, 0), "button": ("PRESS",)}
"""Values that Home Assistant puts into a command template, by platform; a select puts in its options."""
MESSAGES: dict[str, type[Command]] = {
    topics.command(DEVICE, "set"): SetCommand,
    topics.command(DEVICE, "model"): ModelCommand,
}

STATUS = status(gate_dbfs=-47.5, model="six-6", models=("ang-hap-neu-9", "six-6", "sent-2"), can_roll_back=True)


def discovery(device_status: Status = STATUS, **options: str) -> dict[str, Any]:
    """Return the discovery message as Home Assistant reads it."""
    found: dict[str, Any] = json.loads(announcement(DEVICE, device_status, **options))
    return found


@pytest.mark.parametrize("device_status", [STATUS, status()], ids=["with every control", "of a device that says less"])
def test_home_assistant_takes_every_component(device_status: Status) -> None:
    """Each has the keys that its platform requires, and none that it does not know."""
    message = discovery(device_status, dashboard_url="http://server.local:8050/")

    assert message.keys() <= ROOT
    assert message.keys() >= {"device", "origin", "components"}
    assert message["device"].keys() <= DEVICE_KEYS
    assert message["origin"].keys() <= ORIGIN
    assert all(source.keys() <= AVAILABILITY and "topic" in source for source in message["availability"])
    assert not [key for key in message["components"] if " " in key], "Home Assistant splits them at spaces"
    assert {component["platform"] for component in message["components"].values()} == ALLOWED.keys()
    for key, entity in entities(message).items():
        platform = entity["platform"]
        assert entity.keys() <= ALLOWED[platform], key
        assert entity.keys() >= REQUIRED[platform] | {"unique_id", "default_entity_id", "name"}, key
        assert re.fullmatch(rf"{platform}\.[a-z0-9_]+", entity["default_entity_id"]), key


def test_every_entity_has_ids_of_its_own() -> None:
    """Two entities with one id would be one; those of before keep theirs."""
    message = discovery()
    found = entities(message)

    assert len(found) == len(message["components"])
    assert len({entity["unique_id"] for entity in found.values()}) == len(found)
    for key in UNCHANGED:
        assert found[f"sensor.moodwire_{DEVICE}_{key}"]["unique_id"] == f"moodwire_{DEVICE}_{key}"


def test_no_label_takes_the_place_of_a_control() -> None:
    """A model may have labels of any name, also those of the controls."""
    found = discovery(status(labels=("LISTENING", "GATE", "MODEL")))["components"]

    assert {key for key in found if "-" in key} == {
        "switch-listening",
        "number-gate",
        "select-model",
        "button-forget",
        "button-rollback",
    }
    assert {"listening", "gate", "model"} <= found.keys()


def test_the_keys_of_a_component_fit_each_other() -> None:
    """Options belong to an enum, a measurement has a unit that its device class takes, limits are in their order."""
    for key, entity in entities(discovery()).items():
        options = entity.get("options")
        device_class, unit = entity.get("device_class"), entity.get("unit_of_measurement")
        assert options is None or len(options) == len(set(options)) > 0, key
        assert unit in UNITS.get(device_class or "", {unit}), key
        if entity["platform"] == "sensor":
            assert (options is not None) == (device_class == "enum"), key
            assert options is None or not (entity.get("state_class") or unit), key
            assert entity.get("entity_category") in {None, "diagnostic"}, "Home Assistant refuses config for a sensor"
        else:
            assert entity.get("entity_category") in {None, "config"}, key
            assert "retain" not in entity, "the device refuses a retained command"
        if entity["platform"] == "number":
            assert entity["min"] < entity["max"]
            assert entity["step"] >= 0.001


def test_the_topics_are_those_that_the_access_rules_allow() -> None:
    """Home Assistant may read each state and publish each command; the device may publish each state."""
    rules = (Path(embedded.__file__).parent / "mosquitto.acl").read_text()
    home = rules.partition(f"user {embedded.HOME_ASSISTANT_ACCOUNT}\n")[2].partition("\n\n")[0]
    message = discovery()
    found = entities(message).values()
    stated = {entity["state_topic"] for entity in found if "state_topic" in entity}
    stated |= {source["topic"] for source in message["availability"]}
    commanded = {entity["command_topic"] for entity in found if "command_topic" in entity}

    assert commanded
    for topic in stated:
        assert _allowed(home, "read", topic), topic
        assert _allowed(rules.replace("%u", DEVICE), "write", topic, "pattern"), topic
    for topic in commanded:
        assert _allowed(home, "write", topic), topic
        assert _allowed(rules.replace("%u", DEVICE), "read", topic, "pattern"), topic


def _allowed(rules: str, what: str, topic: str, kind: str = "topic") -> bool:
    filters = re.findall(rf"^{kind} {what} (\S+)$", rules, re.MULTILINE)
    return any(topic_matches_sub(found, topic) for found in filters)


def test_every_control_sends_a_command_that_the_wire_takes() -> None:
    """Whatever a person chooses becomes a valid command, with another transaction each time."""
    commands: list[Command] = []
    for entity in entities(discovery()).values():
        if "command_topic" in entity:
            for value in [*SENT.get(entity["platform"], entity.get("options", ())), *SENT.get(entity["platform"], ())]:
                payload = rendered(entity["command_template"], value=value).encode()
                commands.append(decode(payload, MESSAGES[entity["command_topic"]]))

    assert len({command.transaction for command in commands}) == len(commands)
    assert not [command for command in commands if re.fullmatch("[0-9a-f]+", command.transaction)], "as a server's"
    sent = [replace(command, transaction="t") for command in commands]
    for wanted in (
        SetCommand(transaction="t", paused=True),
        SetCommand(transaction="t", paused=False),
        SetCommand(transaction="t", gate_dbfs=-45.5),
        ModelCommand(transaction="t", bundle="ang-hap-neu-9"),
        ModelCommand(transaction="t", rollback=True),
    ):
        assert wanted in sent, wanted


def test_the_switch_is_on_while_the_device_listens() -> None:
    """Switching on sends that the device shall not be paused, and the state shows what is so."""
    switch = discovery()["components"]["switch-listening"]

    assert json.loads(rendered(switch["command_template"], value=switch["payload_on"]))["paused"] is False
    assert json.loads(rendered(switch["command_template"], value=switch["payload_off"]))["paused"] is True
    assert _state(switch, STATUS) == switch["state_on"]
    assert _state(switch, replace(STATUS, state="paused")) == switch["state_off"]


def test_controls_show_what_is_in_force() -> None:
    """Gate and model are those of the status; the model is one of the options; an erased status makes them unknown."""
    found = discovery()["components"]

    assert _state(found["number-gate"], STATUS) == "-47.5"
    assert _state(found["select-model"], STATUS) == "six-6"
    assert found["select-model"]["options"] == ["ang-hap-neu-9", "six-6", "sent-2"]
    for key in ("switch-listening", "number-gate", "select-model"):
        assert shown(found[key]["value_template"], None) == "None"


def _state(entity: dict[str, Any], device_status: Status) -> str:
    assert entity["state_topic"] == topics.topic(DEVICE, "status")
    return shown(entity["value_template"], encode(device_status))


def test_a_device_that_does_not_list_its_models_offers_its_own() -> None:
    """A select without options would be refused."""
    assert discovery(status())["components"]["select-model"]["options"] == [status().model]


def test_the_button_is_there_only_if_there_is_a_model_to_go_back_to() -> None:
    """A component that has its platform alone is one that Home Assistant takes away."""
    assert discovery()["components"]["button-rollback"].keys() > {"platform"}
    assert discovery(replace(STATUS, can_roll_back=False))["components"]["button-rollback"] == {"platform": "button"}


def test_the_device_is_known_by_its_address_and_links_to_its_dashboard() -> None:
    """Home Assistant joins what it knows of one address; without a dashboard there is no link, not an empty one."""
    about = discovery(dashboard_url="http://server.local:8050/")["device"]

    assert about["connections"] == [["mac", topics.mac_address(DEVICE)]]
    assert about["configuration_url"] == "http://server.local:8050/"
    assert "configuration_url" not in discovery()["device"]
