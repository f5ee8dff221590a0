"""MQTT topics, and the device id in them."""

import re
from typing import Literal, NamedTuple, get_args

from common import text

ROOT = "moodwire/v1"
SERVER_STATUS = f"{ROOT}/server/status"

ALERTS = f"{ROOT}/alerts"
"""Alerts are published below this topic."""

HOME_ASSISTANT_STATUS = "homeassistant/status"
"""Home Assistant publishes `online` here when it has started."""

ResponseKind = Literal["cmd/pause/response", "cmd/resume/response", "cmd/set/response", "cmd/model/response"]
FromDevice = Literal["reading", "heard", "status", "health"] | ResponseKind
"""What the server subscribes to."""
ToDevice = Literal["stored", "generation"]
CommandName = Literal["pause", "resume", "set", "model"]
COMMANDS: tuple[CommandName, ...] = ("pause", "resume", "set", "model")
RESPONSES: tuple[ResponseKind, ...] = get_args(ResponseKind)
FROM_DEVICE: tuple[FromDevice, ...] = ("reading", "heard", "status", "health", *RESPONSES)

_DEVICE_ID = re.compile(r"[0-9a-f]{12}")
_MAC_FORMS = re.compile(r"[0-9a-f]{12}|[0-9a-f]{2}(:[0-9a-f]{2}){5}|[0-9a-f]{2}(-[0-9a-f]{2}){5}")


class Address(NamedTuple):
    """Device and kind of message, as a topic names them."""

    device: str
    """12 lower-case hex digits."""
    kind: FromDevice


def topic(device: str, kind: FromDevice | ToDevice | Literal["state"]) -> str:
    """Return the topic of a device's messages of one kind; `state` is for home automation."""
    return f"{ROOT}/{device}/{kind}"


def command(device: str, name: CommandName) -> str:
    """Return the topic of a command to a device."""
    return f"{ROOT}/{device}/cmd/{name}"


def command_response(device: str, name: CommandName) -> str:
    """Return the topic of a device's response to a command."""
    return f"{command(device, name)}/response"


def home_assistant(device: str) -> str:
    """Return the topic of a device's discovery message to Home Assistant (MQTT device discovery, with node id).

    The id has a level of its own: access rules of later versions of Mosquitto replace `%u` only there.
    """
    return f"homeassistant/device/moodwire/{device}/config"


def subscription(kind: FromDevice) -> str:
    """Return the topic filter of every device's messages of one kind."""
    return f"{ROOT}/+/{kind}"


def parse(name: str) -> Address:
    """Split the topic of a message from a device.

    Raises:
        ValueError: the topic is not one of ours, or its device id is not 12 lower-case hex digits.
    """
    prefix, _, rest = name.partition(f"{ROOT}/")
    device, _, kind = rest.partition("/")
    if prefix or not _DEVICE_ID.fullmatch(device):
        raise ValueError(f"topic {name!r} names no device: use {ROOT}/<12 lower-case hex digits>/…")
    for known in FROM_DEVICE:
        if kind == known:
            return Address(device, known)
    raise ValueError(f"topic {name!r} ends in no kind that a device sends: use {', '.join(FROM_DEVICE)}")


def device_id(mac: str) -> str:
    """Return the device id of a MAC address written with colons, with hyphens, or bare, in either case.

    Raises:
        ValueError: it is not a MAC address.
    """
    lower = mac.lower()
    if not _MAC_FORMS.fullmatch(lower):
        raise ValueError(f"{text.quote(mac)} is not a MAC address: write aa:bb:cc:dd:ee:ff or aabbccddeeff")
    return lower.replace(":", "").replace("-", "")


def mac_address(device: str) -> str:
    """Return a device id as a MAC address: `aa:bb:cc:dd:ee:ff`."""
    return ":".join(device[i : i + 2] for i in range(0, 12, 2))
