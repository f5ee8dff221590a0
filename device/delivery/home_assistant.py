"""Home Assistant: MQTT device discovery, and a live state that is slow enough for its database.

After https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery, with full key names, because the set of
abbreviations changes from version to version.
"""

import json
import logging
import math
from pathlib import Path
from typing import Any, get_args

from broker import topics
from broker.messages import CaptureState, LiveState, Status, encode

log = logging.getLogger(__name__)

MIN_INTERVAL_S = 10.0
"""Between two live states."""
MAX_INTERVAL_S = 30.0
"""Between two live states that are alike, while windows come."""
STATE_EXPIRES_S = 120
HEALTH_EXPIRES_S = 180
"""Entities without news for longer become unavailable; health comes once a minute."""
_EJECTED_WITHIN_S = 2.0
"""A connection that is lost so soon after an announcement counts as lost because of it."""
_EJECTIONS_ALLOWED = 3
_MARKER = "home-assistant"

Publication = tuple[str, bytes]
"""Topic and payload of a retained message; an empty payload clears the topic."""


class HomeAssistant:
    """Decides what to publish for Home Assistant and when; call `due` in one thread, the rest in any.

    A file in `state_dir` marks that this device has announced itself. So turning the setting off clears the
    announcement, while the broker of someone who never turned it on never sees the topic.
    """

    def __init__(self, device: str, *, on: bool, state_dir: Path) -> None:
        self._device = device
        self._on = on
        self._marker = state_dir / _MARKER
        self._announced: tuple[object, ...] | None = None
        self._announced_s = -math.inf
        self._ejections = 0
        self._must_clear = not on and self._marker.exists()
        self._is_clearing = False
        self._live: LiveState | None = None
        self._published: LiveState | None = None
        self._published_s = -math.inf

    def publish_again(self) -> None:
        """Publish everything again: connected, Home Assistant has started, or an erasure has cleared the topics."""
        self._announced = None
        self._published = None

    def on_disconnected(self, now_s: float) -> None:
        """Count a connection that was lost right after the announcement.

        Mosquitto 2.0.11 disconnects whoever publishes what its access rules forbid. A device must not lose its
        connection again and again for that, so it gives up announcing until the next start.
        """
        self._ejections = self._ejections + 1 if now_s - self._announced_s < _EJECTED_WITHIN_S else 0
        if self._on and self._ejections >= _EJECTIONS_ALLOWED:
            self._on = False
            log.warning(
                "the broker ends the connection whenever this device announces itself to Home Assistant; "
                "its access rules must allow %s (broker/mosquitto.acl has the line)",
                topics.home_assistant(self._device),
            )

    def update(self, live: LiveState) -> None:
        """Take what is heard now."""
        self._live = live

    def due(self, status: Status, now_s: float) -> list[Publication]:
        """Return what to publish now."""
        if self._must_clear:
            self._must_clear, self._is_clearing = False, True
            return [(topics.home_assistant(self._device), b""), (topics.topic(self._device, "state"), b"")]
        if not self._on:
            return []
        found: list[Publication] = []
        facts = (status.name, status.labels, status.model, status.version)
        if facts != self._announced:
            self._announced, self._announced_s = facts, now_s
            self._write_marker()
            found.append((topics.home_assistant(self._device), announcement(self._device, status)))
        live = self._live
        if live and self._is_due(live, now_s):
            self._published, self._published_s = live, now_s
            found.append((topics.topic(self._device, "state"), encode(live)))
        return found

    def on_acknowledged(self, topic: str) -> None:
        """Delete the marker once the broker has cleared the announcement."""
        if self._is_clearing and topic == topics.home_assistant(self._device):
            try:
                self._marker.unlink(missing_ok=True)
            except OSError as error:
                log.warning(
                    "%s cannot be deleted (%s); the next start clears the announcement again", self._marker, error
                )

    def _is_due(self, live: LiveState, now_s: float) -> bool:
        before = self._published
        if live is before:
            return False  # nothing has been heard since
        alike = before is not None and (live.state, live.top) == (before.state, before.top)
        return now_s - self._published_s >= (MAX_INTERVAL_S if alike else MIN_INTERVAL_S)

    def _write_marker(self) -> None:
        try:
            self._marker.parent.mkdir(parents=True, exist_ok=True)
            self._marker.touch()
        except OSError as error:
            log.warning("%s cannot be written (%s); the announcement will stay when turned off", self._marker, error)


def announcement(device: str, status: Status) -> bytes:
    """Return the payload of the discovery topic: one device with all its entities, as UTF-8 JSON."""
    state_topic, health_topic = topics.topic(device, "state"), topics.topic(device, "health")
    live = {"state_topic": state_topic, "expire_after": STATE_EXPIRES_S}
    health = {"state_topic": health_topic, "expire_after": HEALTH_EXPIRES_S, "entity_category": "diagnostic"}
    entities: dict[str, dict[str, Any]] = {
        "emotion": {
            **live,
            "name": "Emotion",
            "device_class": "enum",
            "options": [*status.labels, "uncertain", "silent", "paused"],
            "value_template": "{{ value_json.top if value_json.state == 'speech' else value_json.state }}",
        },
        **{
            label.lower(): {
                **live,
                **_measurement("%", 0),
                "name": label,
                "value_template": f"{{{{ (value_json.scores['{label}'] * 100) | round(1) "
                f"if '{label}' in value_json.scores else none }}}}",
            }
            for label in status.labels
        },
        "level": {
            **live,
            **_measurement("dBFS", 0),
            "name": "Level",
            "value_template": "{{ value_json.level_dbfs }}",
        },
        "cpu": {
            **health,
            **_measurement("%", 1),
            "name": "CPU",
            "value_template": "{{ (value_json.cpu_ratio * 100) | round(1) }}",
        },
        "temperature": {
            **health,
            **_measurement("°C", 0),
            "name": "Temperature",
            "device_class": "temperature",
            "value_template": "{{ value_json.temperature_c }}",
        },
        "outbox": {
            **health,
            "state_class": "measurement",
            "name": "Outbox",
            "value_template": "{{ value_json.outbox_rows }}",
        },
        "inference": {
            **health,
            **_measurement("ms", 1),
            "name": "Inference, 95th percentile",
            "value_template": "{{ value_json.inference_p95_ms }}",
        },
        "capture": {
            **health,
            "name": "Microphone",
            "device_class": "enum",
            "options": list(get_args(CaptureState)),
            "value_template": "{{ value_json.capture }}",
        },
    }
    for key, entity in entities.items():
        entity["platform"] = "sensor"
        entity["unique_id"] = f"moodwire_{device}_{key}"
        entity["default_entity_id"] = f"sensor.moodwire_{device}_{key}"
    payload = {
        "device": {
            "identifiers": [f"moodwire_{device}"],
            "name": status.name,
            "manufacturer": "moodwire",
            "model": status.model,
            "sw_version": status.version,
            "serial_number": topics.mac_address(device),
        },
        "origin": {"name": "moodwire", "sw_version": status.version},
        "availability": [
            {
                "topic": topics.topic(device, "status"),
                "value_template": "{{ 'online' if value_json is defined and value_json.state in ('online', 'paused') "
                "else 'offline' }}",
            }
        ],
        "qos": 1,
        "components": entities,
    }
    return json.dumps(payload, ensure_ascii=False).encode()


def _measurement(unit: str, digits: int) -> dict[str, Any]:
    return {"unit_of_measurement": unit, "state_class": "measurement", "suggested_display_precision": digits}
