"""Topic names, and the device id that is part of them."""

import re
from typing import Literal, NamedTuple, get_args

ROOT = "moodwire/v1"
SERVER_STATUS = f"{ROOT}/server/status"

HOME_ASSISTANT_STATUS = "homeassistant/status"
"""Where Home Assistant says that it has started."""

Answered = Literal["cmd/pause/response", "cmd/resume/response", "cmd/set/response", "cmd/model/response"]
FromDevice = Literal["reading", "heard", "status", "health"] | Answered
"""What the server listens to."""
ToDevice = Literal["stored", "generation"]
CommandName = Literal["pause", "resume", "set", "model"]
COMMANDS: tuple[CommandName, ...] = ("pause", "resume", "set", "model")
ANSWERED: tuple[Answered, ...] = get_args(Answered)
FROM_DEVICE: tuple[FromDevice, ...] = ("reading", "heard", "status", "health", *ANSWERED)

_DEVICE_ID = re.compile(r"[0-9a-f]{12}")
_MAC_FORMS = re.compile(r"[0-9a-f]{12}|[0-9a-f]{2}(:[0-9a-f]{2}){5}|[0-9a-f]{2}(-[0-9a-f]{2}){5}")


class Address(NamedTuple):
    """Whom a topic is about and what it carries."""

    device: str
    """12 lower-case hex digits."""
    kind: FromDevice


def topic(device: str, kind: FromDevice | ToDevice | Literal["state"]) -> str:
    """Return the topic of one device's messages of one kind; `state` is for home automation."""
    return f"{ROOT}/{device}/{kind}"


def command(device: str, name: CommandName) -> str:
    """Return the topic on which a device takes one command."""
    return f"{ROOT}/{device}/cmd/{name}"


def command_response(device: str, name: CommandName) -> str:
    """Return the topic on which a device answers that command."""
    return f"{command(device, name)}/response"


def home_assistant(device: str) -> str:
    """Return the topic of a device's announcement to Home Assistant (MQTT device discovery, with node id).

    The id has a level of its own, because access rules of Mosquitto replace `%u` in later versions only there.
    """
    return f"homeassistant/device/moodwire/{device}/config"


def subscription(kind: FromDevice) -> str:
    """Return the filter that matches every device's messages of one kind."""
    return f"{ROOT}/+/{kind}"


def parse(name: str) -> Address:
    """Split a topic that a device published on.

    Raises:
        ValueError: the topic is not one of ours, or its device id is not 12 lower-case hex digits.
    """
    prefix, _, rest = name.partition(f"{ROOT}/")
    device, _, kind = rest.partition("/")
    if prefix or not _DEVICE_ID.fullmatch(device):
        raise ValueError(f"topic {name!r} names no device: {ROOT}/<12 lower-case hex digits>/… is right")
    for known in FROM_DEVICE:
        if kind == known:
            return Address(device, known)
    raise ValueError(f"topic {name!r} ends in no kind that a device sends: {', '.join(FROM_DEVICE)} are")


def device_id(mac: str) -> str:
    """Return the device id of a MAC address written with colons, with hyphens, or bare, in either case.

    Raises:
        ValueError: it is not a MAC address.
    """
    lower = mac.lower()
    if not _MAC_FORMS.fullmatch(lower):
        raise ValueError(f"{mac!r} is not a MAC address: aa:bb:cc:dd:ee:ff or aabbccddeeff is right")
    return lower.replace(":", "").replace("-", "")


def mac_address(device: str) -> str:
    """Return a device id in the form people know: `aa:bb:cc:dd:ee:ff`."""
    return ":".join(device[i : i + 2] for i in range(0, 12, 2))
