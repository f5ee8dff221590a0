"""Home Assistant as a device meets it: takes the discovery message, shows states, sends what people choose."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import jinja2
import paho.mqtt.client as mqtt
from brokers import DEVICE, RunningBroker
from services import wait_until

from broker import topics

Entity = dict[str, Any]

_times = (datetime.now(UTC) + timedelta(microseconds=number) for number in itertools.count())


def rendered(template: str, **values: object) -> str:
    """Return what Home Assistant makes of a template, whose `now` is a later time each time it is asked."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.globals["now"] = lambda: next(_times)
    return environment.from_string(template).render(values)


def shown(template: str, payload: bytes | None) -> str:
    """Return what Home Assistant makes of a message; `value_json` is there only if the payload is JSON."""
    return rendered(template, **({"value_json": json.loads(payload)} if payload else {}))


def entities(message: dict[str, Any]) -> dict[str, Entity]:
    """Return the entities of a discovery message by their ids; a component of a platform alone is none any longer."""
    found = (component for component in message["components"].values() if component.keys() != {"platform"})
    return {entity["default_entity_id"]: entity for entity in found}


class Assistant:
    """What Home Assistant knows of a device from its messages."""

    def __init__(self, client: mqtt.Client) -> None:
        self._client = client
        self.retained: dict[str, bytes] = {}
        """The latest message of each topic."""

    def entities(self) -> dict[str, Entity]:
        """Return the device's entities; none before its discovery message."""
        payload = self.retained.get(topics.home_assistant(DEVICE))
        return entities(json.loads(payload)) if payload else {}

    def state(self, entity_id: str) -> str:
        """Return the state of an entity, as its state topic has it now."""
        entity = self.entities().get(entity_id)
        return shown(entity["value_template"], self.retained.get(entity["state_topic"])) if entity else "unknown"

    def send(self, entity_id: str, value: object) -> None:
        """Publish what a person chose."""
        entity = self.entities()[entity_id]
        self._client.publish(entity["command_topic"], rendered(entity["command_template"], value=value), qos=1)


@contextmanager
def assisting(broker: RunningBroker) -> Iterator[Assistant]:
    """Connect with Home Assistant's account, which hears what it may."""
    with broker.client("homeassistant") as client:
        assistant = Assistant(client)
        client.on_message = lambda _client, _data, message: assistant.retained.update({message.topic: message.payload})
        confirmed: list[bool] = []
        client.on_subscribe = lambda *_: confirmed.append(True)
        own = [topics.topic("+", kind) for kind in ("state", "status", "health")]
        client.subscribe([(topic, 1) for topic in ("homeassistant/#", *own)])
        wait_until(lambda: confirmed, "Home Assistant listens")
        yield assistant
