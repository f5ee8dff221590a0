"""Home Assistant: MQTT device discovery, and a live state that is slow enough for its database.

After https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery, with full key names, because the set of
abbreviations changes from version to version. Controls show what the device's status says is in force, and their
templates render to commands as the wire has them.
"""

import json
import logging
import math
from pathlib import Path
from typing import Any, get_args

from broker import topics
from broker.messages import MAX_GATE_DBFS, MIN_GATE_DBFS, CaptureState, LiveState, Status, encode
from broker.topics import CommandName

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

    def __init__(self, device: str, *, on: bool, state_dir: Path, dashboard_url: str = "") -> None:
        self._device = device
        self._on = on
        self._dashboard_url = dashboard_url
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

    def is_due(self, status: Status) -> bool:
        """Return whether a device with this status must be announced, for the first time or anew."""
        return self._on and _announced_of(status) != self._announced

    def due(self, status: Status, now_s: float) -> list[Publication]:
        """Return what to publish now.

        The status follows each announcement, because Home Assistant drops a state that is none of the options that
        it knows when the state arrives.
        """
        if self._must_clear:
            self._must_clear, self._is_clearing = False, True
            return [(topics.home_assistant(self._device), b""), (topics.topic(self._device, "state"), b"")]
        if not self._on:
            return []
        found: list[Publication] = []
        announced = _announced_of(status)
        if announced != self._announced:
            self._announced, self._announced_s = announced, now_s
            self._write_marker()
            payload = announcement(self._device, status, self._dashboard_url)
            found.append((topics.home_assistant(self._device), payload))
            found.append((topics.topic(self._device, "status"), encode(status)))
        live = self._live
        if live and self._is_live_due(live, now_s):
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

    def _is_live_due(self, live: LiveState, now_s: float) -> bool:
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


def _announced_of(status: Status) -> tuple[object, ...]:
    """Return what the announcement says of a status; the rest is for the status alone."""
    return status.name, status.labels, status.model, status.version, status.models, status.can_roll_back


def announcement(device: str, status: Status, dashboard_url: str = "") -> bytes:
    """Return the payload of the discovery topic: one device with all its entities, as UTF-8 JSON."""
    about = {
        "identifiers": [f"moodwire_{device}"],
        "connections": [["mac", topics.mac_address(device)]],
        "name": status.name,
        "manufacturer": "moodwire",
        "model": status.model,
        "sw_version": status.version,
        "serial_number": topics.mac_address(device),
    }
    if dashboard_url:
        about["configuration_url"] = dashboard_url
    payload = {
        "device": about,
        "origin": {"name": "moodwire", "sw_version": status.version},
        "availability": [
            {
                "topic": topics.topic(device, "status"),
                "value_template": "{{ 'online' if value_json is defined and value_json.state in ('online', 'paused') "
                "else 'offline' }}",
            }
        ],
        "qos": 1,
        "components": _sensors(device, status) | _controls(device, status),
    }
    return json.dumps(payload, ensure_ascii=False).encode()


def _sensors(device: str, status: Status) -> dict[str, dict[str, Any]]:
    """Return what the device hears and how it is."""
    state_topic, health_topic = topics.topic(device, "state"), topics.topic(device, "health")
    live = {"state_topic": state_topic, "expire_after": STATE_EXPIRES_S}
    health = {"state_topic": health_topic, "expire_after": HEALTH_EXPIRES_S, "entity_category": "diagnostic"}
    entities: dict[str, dict[str, Any]] = {
        "emotion": {
            **live,
            "name": "Emotion",
            "device_class": "enum",
            "options": [*status.labels, "uncertain", "noise", "silent", "paused"],
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
            "device_class": "duration",
            "name": "Inference, 95th percentile",
            "value_template": "{{ value_json.inference_p95_ms }}",
        },
        "baseline": {
            **health,
            **_measurement("%", 0),
            "name": "Baseline in force",
            "value_template": "{{ (value_json.baseline.strength * 100) | round(0) if value_json.baseline else none }}",
            "json_attributes_topic": health_topic,
            "json_attributes_template": "{{ (value_json.baseline or {}) | tojson }}",
        },
        "capture": {
            **health,
            "name": "Microphone",
            "device_class": "enum",
            "options": list(get_args(CaptureState)),
            "value_template": "{{ value_json.capture }}",
        },
    }
    return {key: _ids(device, "sensor", key) | entity for key, entity in entities.items()}


def _controls(device: str, status: Status) -> dict[str, dict[str, Any]]:
    """Return what people can change; each key has a hyphen, which a label has not.

    A control of another command goes here: its state in `Status`, its template a command of `broker.messages`.
    """
    state_topic = topics.topic(device, "status")
    found = {
        "switch-listening": {
            **_ids(device, "switch", "listening"),
            **_command(device, "set", '"paused":{{ value }}'),
            "name": "Listening",
            "payload_on": "false",
            "payload_off": "true",
            "state_topic": state_topic,
            "state_on": "online",
            "state_off": "paused",
            "value_template": "{{ value_json.state if value_json is defined else none }}",
        },
        "number-gate": {
            **_ids(device, "number", "gate"),
            **_command(device, "set", '"gate_dbfs":{{ value }}'),
            "name": "Speech gate",
            "entity_category": "config",
            "min": MIN_GATE_DBFS,
            "max": MAX_GATE_DBFS,
            "step": 1,
            "unit_of_measurement": "dBFS",
            "state_topic": state_topic,
            "value_template": "{{ value_json.gate_dbfs if value_json is defined else none }}",
        },
        "select-model": {
            **_ids(device, "select", "model"),
            **_command(device, "model", '"bundle":"{{ value }}"'),
            "name": "Model",
            "entity_category": "config",
            "options": list(status.models) or [status.model],
            "state_topic": state_topic,
            "value_template": "{{ value_json.model if value_json is defined else none }}",
        },
        "button-forget": {
            **_ids(device, "button", "forget"),
            **_command(device, "set", '"forget_baseline":true'),
            "name": "Forget the baseline",
            "entity_category": "config",
        },
        "button-rollback": {"platform": "button"},
    }
    if status.can_roll_back:  # else the platform alone takes a button away that was announced before
        found["button-rollback"] = {
            **_ids(device, "button", "rollback"),
            **_command(device, "model", '"rollback":true'),
            "name": "Previous model",
            "entity_category": "config",
        }
    return found


def _ids(device: str, platform: str, key: str) -> dict[str, Any]:
    unique_id = f"moodwire_{device}_{key}"
    return {"platform": platform, "unique_id": unique_id, "default_entity_id": f"{platform}.{unique_id}"}


def _command(device: str, name: CommandName, field: str) -> dict[str, Any]:
    """Return where a control sends a command, and the template of a command with one field.

    The time, in microseconds, makes the transaction a new one each time. It is no hex number, as those of the server
    are, so the server takes no answer for one to its own.
    """
    template = f'{{"v":1,{field},"transaction":"ha-{{{{ now().timestamp() }}}}"}}'
    return {"command_topic": topics.command(device, name), "command_template": template}


def _measurement(unit: str, digits: int) -> dict[str, Any]:
    return {"unit_of_measurement": unit, "state_class": "measurement", "suggested_display_precision": digits}
