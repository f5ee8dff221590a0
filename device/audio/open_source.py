"""Opens what the settings name: clips or a microphone."""

from pathlib import Path

from device.audio import microphone
from device.audio.clip_player import ClipPlayer
from device.audio.source import Source
from device.settings import DeviceSettings


def open_source(settings: DeviceSettings, again: str | None = None) -> Source:
    """Open what the settings say shall be listened to, or the microphone with an id that was open before.

    Raises:
        SourceError: it is not there or cannot be used.
    """
    if settings.clips:
        return ClipPlayer(Path(settings.clips), loop=settings.loop)
    return microphone.Microphone(again or settings.mic)
