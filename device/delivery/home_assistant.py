"""Home Assistant finds the device by itself: MQTT device discovery, and a live state slow enough for its database.

Built after https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery, with full key names, because which
abbreviations exist changes from version to version.
"""

import json
import logging
from pathlib import Path
from typing import Any, get_args

from broker import topics
from broker.messages import CaptureState, Live, Status, encode

log = logging.getLogger(__name__)

SHORTEST_PAUSE_S = 10.0
"""The live state goes out at most this often."""
LONGEST_PAUSE_S = 30.0
"""Without a change it goes out this often, while windows come."""
STATE_EXPIRES_S = 120
HEALTH_EXPIRES_S = 180
"""Health comes once a minute; entities without news for longer become unavailable."""
_KICKED_OUT_S = 2.0
_KICKS_ALLOWED = 3
_MARKER = "home-assistant"

Publication = tuple[str, bytes]
"""Topic and payload of a retained message; an empty payload clears the topic."""


class HomeAssistant:
    """Decides what to publish for Home Assistant and when; `due` is asked in one thread, the rest may be anywhere.

    A file in `state_dir` notes that this device has announced itself, so that turning the setting off clears the
    announcement, while the broker of someone who never turned it on never sees the topic.
    """

    def __init__(self, device: str, *, on: bool, state_dir: Path) -> None:
        self._device = device
        self._on = on
        self._marker = state_dir / _MARKER
        self._announced: tuple[object, ...] | None = None
        self._announced_s = -_KICKED_OUT_S
        self._kicks = 0
        self._clear = not on and self._marker.exists()
        self._clearing = False
        self._live: Live | None = None
        self._said: Live | None = None
        self._said_s = 0.0

    def begin(self) -> None:
        """Say everything again: connected, Home Assistant has started, or an erasure has cleared the topics."""
        self._announced = None
        self._said = None

    def end(self, now_s: float) -> None:
        """Take note that the connection is lost.

        Mosquitto 2.0.11 throws out who publishes what its access rules forbid. A device must not lose its
        connection again and again for that, so it then gives up announcing until the next start.
        """
        self._kicks = self._kicks + 1 if now_s - self._announced_s < _KICKED_OUT_S else 0
        if self._on and self._kicks >= _KICKS_ALLOWED:
            self._on = False
            log.warning(
                "the broker ends the connection whenever this device announces itself to Home Assistant; "
                "its access rules must allow %s (broker/mosquitto.acl has the line)",
                topics.home_assistant(self._device),
            )

    def hear(self, live: Live) -> None:
        """Take what is heard now."""
        self._live = live

    def due(self, status: Status, now_s: float) -> list[Publication]:
        """Return what to publish now."""
        if self._clear:
            self._clear, self._clearing = False, True
            return [(topics.home_assistant(self._device), b""), (topics.topic(self._device, "state"), b"")]
        if not self._on:
            return []
        found: list[Publication] = []
        facts = (status.name, status.labels, status.model, status.version)
        if facts != self._announced:
            self._announced, self._announced_s = facts, now_s
            self._note_down()
            found.append((topics.home_assistant(self._device), announcement(self._device, status)))
        live = self._live
        if live and self._is_due(live, now_s):
            self._said, self._said_s = live, now_s
            found.append((topics.topic(self._device, "state"), encode(live)))
        return found

    def acknowledged(self, topic: str) -> None:
        """Take note that the broker has a message."""
        if self._clearing and topic == topics.home_assistant(self._device):
            self._marker.unlink(missing_ok=True)

    def _is_due(self, live: Live, now_s: float) -> bool:
        if live is self._said:
            return False  # nobody has heard anything since
        waited_s = now_s - self._said_s
        if self._said is None:
            return waited_s >= SHORTEST_PAUSE_S or self._said_s == 0.0
        changed = (live.state, live.top) != (self._said.state, self._said.top)
        return waited_s >= (SHORTEST_PAUSE_S if changed else LONGEST_PAUSE_S)

    def _note_down(self) -> None:
        try:
            self._marker.parent.mkdir(parents=True, exist_ok=True)
            self._marker.touch()
        except OSError as error:
            log.warning("%s cannot be written (%s); the announcement will stay when turned off", self._marker, error)


def announcement(device: str, status: Status) -> bytes:
    """Return the payload of the discovery topic: one Home Assistant device with all its entities."""
    state_topic, health_topic = topics.topic(device, "state"), topics.topic(device, "health")
    heard = {"state_topic": state_topic, "expire_after": STATE_EXPIRES_S}
    health = {"state_topic": health_topic, "expire_after": HEALTH_EXPIRES_S, "entity_category": "diagnostic"}
    entities: dict[str, dict[str, Any]] = {
        "emotion": {
            **heard,
            "name": "Emotion",
            "device_class": "enum",
            "options": [*status.labels, "uncertain", "silent", "paused"],
            "value_template": "{{ value_json.top if value_json.state == 'speech' else value_json.state }}",
        },
        **{
            label.lower(): {
                **heard,
                **_measurement("%", 0),
                "name": label,
                "value_template": f"{{{{ (value_json.scores['{label}'] * 100) | round(1) "
                f"if '{label}' in value_json.scores else none }}}}",
            }
            for label in status.labels
        },
        "level": {
            **heard,
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
    page = {
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
    return json.dumps(page, ensure_ascii=False).encode()


def _measurement(unit: str, digits: int) -> dict[str, Any]:
    return {"unit_of_measurement": unit, "state_class": "measurement", "suggested_display_precision": digits}
