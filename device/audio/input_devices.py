"""Which microphones there are, and which of them is meant: by index, name or stable id, never guessed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from device.audio.alsa_cards import AlsaCard
from device.audio.source import SourceError

ID_KINDS = ("usb-path:", "usb-id:", "alsa:")
_ALSA_HARDWARE = re.compile(r"\(hw:(\d+),(\d+)\)$")
"""How PortAudio ends the name of what is a card's own input, and not an ALSA plugin."""


@dataclass(frozen=True)
class InputDevice:
    """One input that PortAudio offers."""

    index: int
    """PortAudio's, as of its latest initialisation."""
    name: str
    channels: int
    rate_hz: int
    """Its native rate, as PortAudio tells it."""
    card: AlsaCard | None
    """None for an input that is made by software, such as a sound server."""
    number: int
    """Of the input on its card, 0 for most; 0 where there is no card."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Its stable ids; none for an input that is made by software, which only its name tells."""
        return self.card.ids if self.card else ()

    @property
    def label(self) -> str:
        """The id, or else the name, by which a person can choose it again."""
        return self.ids[0] if self.ids else self.name

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.name!r} ({self.label})" if self.ids else repr(self.name)

    def is_same(self, other: "InputDevice") -> bool:
        """Return whether this is the input that another record tells of, whatever index and number it has now."""
        if self.card is None or other.card is None:
            return self.card is other.card and self.name == other.name
        return self.card.is_same(other.card) and self.number == other.number


def inputs(devices: Iterable[Mapping[str, Any]], cards: Mapping[int, AlsaCard]) -> list[InputDevice]:
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
                    number=int(hardware[2]) if hardware else 0,
                )
            )
    return found


def choose(wanted: str, found: Sequence[InputDevice], default: int) -> InputDevice:
    """Return the input that is meant by an index, a stable id, a name or a unique part of it; empty: the default.

    Raises:
        SourceError: none or several match; a microphone is never guessed.
    """
    if not found:
        raise SourceError("no microphone found; plug one in, or play files with --clips")
    if not wanted:
        matches = [one for one in found if one.index == default]
        if not matches:
            raise SourceError(f"no default microphone; choose one with --mic: {_known(found)}")
    elif wanted.startswith(ID_KINDS):
        named = [one for one in found if one.card and one.card.is_named(wanted)]
        # An id names a card; of a card with several inputs it means the first.
        matches = [one for one in named if one.number == min(other.number for other in named)]
    else:
        matches = [one for one in found if wanted in (str(one.index), one.name)]
        matches = matches or [one for one in found if wanted.lower() in one.name.lower()]
    if len(matches) != 1:
        count = "several" if matches else "none"
        raise SourceError(f"microphone {wanted!r} matches {count} of: {_known(found)}")
    return matches[0]


def find_again(known: InputDevice, found: Sequence[InputDevice]) -> InputDevice:
    """Return the very input that was used before.

    Raises:
        SourceError: it is not there, or several cannot be told from it; no other is taken instead.
    """
    matches = [one for one in found if one.is_same(known)]
    if len(matches) > 1 and known.card:  # serial numbers that a maker gave to more than one: the port decides
        matches = [one for one in matches if one.card and one.card.usb_path == known.card.usb_path]
    if len(matches) != 1:
        raise SourceError(f"microphone {known} is gone; there is: {_known(found)}")
    return matches[0]


def table(found: Sequence[InputDevice]) -> str:
    """Return the inputs for people: index, name, channels and native rate, and below each its stable ids."""
    lines = []
    for one in found:
        channels = "1 channel" if one.channels == 1 else f"{one.channels} channels"
        lines.append(f"{one.index:3d}  {one.name}  ({channels}, {one.rate_hz} Hz)")
        lines.append(f"     {'  '.join(one.ids) or 'made by software: choose it by its name'}")
    return "\n".join(lines) or "no microphone found"


def _known(found: Iterable[InputDevice]) -> str:
    return "; ".join(f"{one.index}: {one.name}{f' ({one.label})' if one.ids else ''}" for one in found) or "none"
