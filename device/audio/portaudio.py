"""PortAudio through the sounddevice package: loading, rescanning, and listing inputs."""

import sys
from typing import Any

from device.audio.alsa_cards import read_cards
from device.audio.input_devices import InputDevice, format_table, input_devices
from device.audio.source import SourceError


def load() -> Any:
    """Return the sounddevice module, which knows the devices that are plugged in now.

    Imported late, because it needs a system library that clips do not.

    Raises:
        SourceError: the library is missing, or PortAudio does not start.
    """
    was_loaded = "sounddevice" in sys.modules
    try:
        import sounddevice  # noqa: PLC0415
    except OSError as error:
        raise SourceError(
            "PortAudio is missing; install it (Debian, Raspberry Pi OS: apt install libportaudio2), "
            "or play files with --clips"
        ) from error
    if was_loaded:
        rescan(sounddevice)
    return sounddevice


def rescan(sounddevice: Any) -> None:
    """Restart PortAudio, which looks for devices only when it starts; no stream may be open.

    Raises:
        SourceError: it does not start.
    """
    try:
        while sounddevice._initialized:  # noqa: SLF001 - its documentation names these two for this purpose
            sounddevice._terminate()  # noqa: SLF001
        sounddevice._initialize()  # noqa: SLF001
    except sounddevice.PortAudioError as error:
        raise SourceError(f"PortAudio does not start: {error}") from error


def list_inputs(sounddevice: Any) -> list[InputDevice]:
    """Return the inputs that PortAudio found when it started, each with its card."""
    return input_devices(sounddevice.query_devices(), read_cards())


def default_index(sounddevice: Any) -> int:
    """Return the index of PortAudio's default input, -1 if there is none."""
    try:
        return int(sounddevice.query_devices(kind="input")["index"])
    except sounddevice.PortAudioError:
        return -1


def listing() -> str:
    """Return the table of inputs that people read.

    Raises:
        SourceError: PortAudio is missing.
    """
    return format_table(list_inputs(load()))
