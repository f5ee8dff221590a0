"""Input devices, and which of them an index, name or stable id means; never guessed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from device.audio.alsa_cards import AlsaCard
from device.audio.source import SourceError

ID_KINDS = ("usb-path:", "usb-id:", "alsa:")
_ALSA_HARDWARE = re.compile(r"\(hw:(\d+),(\d+)\)$")
"""End of PortAudio's name of a card's own input, which an ALSA plugin does not have."""


@dataclass(frozen=True)
class InputDevice:
    """One input that PortAudio offers."""

    index: int
    """PortAudio's, valid until it restarts."""
    name: str
    channels: int
    rate_hz: int
    """The native rate, as PortAudio reports it."""
    card: AlsaCard | None
    """None for an input made by software, such as a sound server's."""
    subdevice: int
    """Number of the input on its card, 0 for most; 0 without a card."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Stable ids, the most specific first; none for an input made by software, which only its name tells."""
        return self.card.ids if self.card else ()

    @property
    def label(self) -> str:
        """The best stable id, else the name: what the `mic` setting takes to choose it again."""
        return self.ids[0] if self.ids else self.name

    def __str__(self) -> str:
        """Return name and label."""
        return f"{self.name!r} ({self.label})" if self.ids else repr(self.name)

    def is_same(self, other: "InputDevice") -> bool:
        """Return whether two records are of one input, whatever its index and card number are now."""
        if self.card is None or other.card is None:
            return self.card is other.card and self.name == other.name
        return self.card.is_same(other.card) and self.subdevice == other.subdevice


def input_devices(devices: Iterable[Mapping[str, Any]], cards: Mapping[int, AlsaCard]) -> list[InputDevice]:
    """Return the inputs among PortAudio's devices, each with its card."""
    found = []
    for index, device in enumerate(devices):
        if device["max_input_channels"] > 0:
            name = str(device["name"])
            hardware = _ALSA_HARDWARE.search(name)
            found.append(
                InputDevice(
                    index=index,
                    name=name,
                    channels=int(device["max_input_channels"]),
                    rate_hz=int(device["default_samplerate"]),
                    card=cards.get(int(hardware[1])) if hardware else None,
                    subdevice=int(hardware[2]) if hardware else 0,
                )
            )
    return found


def choose(mic: str, devices: Sequence[InputDevice], default: int) -> InputDevice:
    """Return the one device that the `mic` setting means.

    Args:
        mic: A stable id, an index, a name or a part of one; empty for the default.
        devices: What to choose from.
        default: Index of PortAudio's default input, -1 for none.

    Raises:
        SourceError: none or several match.
    """
    if not devices:
        raise SourceError("no microphone found; plug one in, or play files with --clips")
    if not mic:
        matches = [device for device in devices if device.index == default]
        if not matches:
            raise SourceError(f"no default microphone; choose one with --mic: {_names(devices)}")
    elif mic.startswith(ID_KINDS):
        named = [device for device in devices if device.card and device.card.has_id(mic)]
        # An id names a card; of a card with several inputs it means the first.
        matches = [device for device in named if device.subdevice == min(other.subdevice for other in named)]
    else:
        matches = [device for device in devices if mic in (str(device.index), device.name)]
        matches = matches or [device for device in devices if mic.lower() in device.name.lower()]
    if len(matches) != 1:
        count = "several" if matches else "none"
        raise SourceError(f"microphone {mic!r} matches {count} of: {_names(devices)}")
    return matches[0]


def find_again(known: InputDevice, devices: Sequence[InputDevice]) -> InputDevice:
    """Return the device that was used before; no other is taken instead.

    Raises:
        SourceError: it is missing, or several cannot be told from it.
    """
    matches = [device for device in devices if device.is_same(known)]
    if len(matches) > 1 and known.card:  # some makers give every device the same serial number: the port decides
        matches = [device for device in matches if device.card and device.card.usb_path == known.card.usb_path]
    if len(matches) != 1:
        raise SourceError(f"microphone {known} is gone; present: {_names(devices)}")
    return matches[0]


def format_table(devices: Sequence[InputDevice]) -> str:
    """Return the devices for people: index, name, channels and native rate, and below each its stable ids."""
    lines = []
    for device in devices:
        channels = "1 channel" if device.channels == 1 else f"{device.channels} channels"
        lines.append(f"{device.index:3d}  {device.name}  ({channels}, {device.rate_hz} Hz)")
        lines.append(f"     {'  '.join(device.ids) or 'made by software: choose it by its name'}")
    return "\n".join(lines) or "no microphone found"


def _names(devices: Iterable[InputDevice]) -> str:
    named = [f"{device.index}: {device.name}{f' ({device.label})' if device.ids else ''}" for device in devices]
    return "; ".join(named) or "none"
