"""The guide to Home Assistant: its YAML is YAML, and names only what a device announces and may be told."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from brokers import DEVICE
from home_assistant import entities
from paho.mqtt.client import topic_matches_sub
from records import status

from broker import embedded, topics
from broker.messages import CaptureState
from device.delivery.home_assistant import announcement

GUIDE = (Path(__file__).parent.parent / "docs" / "home-assistant.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)]
AUTOMATIONS = [automation for block in BLOCKS for automation in block.get("automation", ())]
ENTITIES = entities(yaml.safe_load(announcement(DEVICE, status(can_roll_back=True))))


def values(found: Any, key: str) -> Iterator[Any]:
    """Yield every value that stands under a key, at any depth."""
    if isinstance(found, dict):
        for name, value in found.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(found, list):
        for value in found:
            yield from values(value, key)


def test_there_are_three_automations_as_home_assistant_reads_them() -> None:
    """Each has a name, triggers and actions, with the words that are in use since 2024.10."""
    assert len(AUTOMATIONS) == 3

    for automation in AUTOMATIONS:
        assert automation.keys() == {"alias", "triggers", "actions"}
        assert all("trigger" in trigger for trigger in automation["triggers"])
        assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", action) for action in values(automation, "action"))


def test_the_entities_of_a_device_are_those_that_it_announces() -> None:
    """Whoever copies the YAML and puts in the device's id gets automations that work."""
    used = [entity_id for block in BLOCKS for entity_id in values(block, "entity_id")]

    own = {entity_id for entity_id in used if "moodwire" in entity_id}
    assert {entity_id.partition(".")[0] for entity_id in own} == {"switch", "sensor"}
    assert own <= ENTITIES.keys()
    shown = set(re.findall(rf"`([a-z]+\.moodwire_{DEVICE}_[a-z]+)`", GUIDE))
    shown |= {f"sensor.moodwire_{DEVICE}_{key}" for key in re.findall(r"`…_([a-z]+)`", GUIDE)}
    assert shown == ENTITIES.keys(), "the table has each entity"


def test_what_they_do_fits_the_entities() -> None:
    """A switch is switched, and the states that someone waits for are states that the entity can have."""
    for target in (step for automation in AUTOMATIONS for step in _steps(automation["actions"])):
        for entity_id in values(target, "entity_id"):
            assert entity_id.partition(".")[0] == target["action"].partition(".")[0]
    waited = {
        state
        for automation in AUTOMATIONS
        for trigger in automation["triggers"]
        if trigger.get("entity_id") == f"sensor.moodwire_{DEVICE}_capture"
        for state in trigger["to"]
    }
    assert waited == {*get_args(CaptureState), "unavailable"} - {"ok", "paused"}
    (globs,) = (glob for block in BLOCKS for glob in values(block, "entity_globs"))
    sensors = [entity_id for entity_id in ENTITIES if entity_id.startswith("sensor.")]
    assert [entity_id for entity_id in sensors if not any(fnmatch(entity_id, glob) for glob in globs)] == []


def _steps(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict):
        if "action" in found:
            yield found
        found = list(found.values())
    if isinstance(found, list):
        for value in found:
            yield from _steps(value)


@pytest.mark.parametrize(("column", "rule"), [(1, "read"), (2, "write"), (3, None)])
def test_the_table_of_topics_is_that_of_the_access_rules(column: int, rule: str | None) -> None:
    """What Home Assistant is said to read, to publish and not to get is what its account may."""
    acl = (Path(embedded.__file__).parent / "mosquitto.acl").read_text()
    home = acl.partition(f"user {embedded.HOME_ASSISTANT_ACCOUNT}\n")[2].partition("\n\n")[0]
    rules = {
        what: set(re.findall(rf"^topic (?:{what}|readwrite) (\S+)$", home, re.MULTILINE)) for what in ("read", "write")
    }
    table = GUIDE.partition("| it reads |")[2].partition("\n\n")[0].splitlines()[2:]
    told = {topic for row in table for topic in re.findall(r"`(\S+)`", row.split("|")[column])}

    if rule:  # the filter for announcements covers homeassistant/status, too
        assert told | {topics.HOME_ASSISTANT_STATUS} == rules[rule] | {topics.HOME_ASSISTANT_STATUS}
    else:
        assert told
        assert [one for one in told for rule in rules["read"] | rules["write"] if topic_matches_sub(rule, one)] == []


def test_the_law_is_one_link_away() -> None:
    """Whoever sets it up reads first what is prohibited, and that people must agree."""
    beginning = GUIDE.partition("## ")[0]

    assert "(law.md)" in beginning
    assert "prohibited" in beginning
