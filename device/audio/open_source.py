"""Opens what the settings name: clips or a microphone."""

from pathlib import Path

from device.audio.clip_player import ClipPlayer
from device.audio.microphone import Microphone
from device.audio.source import Source
from device.settings import DeviceSettings


def open_source(settings: DeviceSettings, source_id: str | None = None) -> Source:
    """Open what the settings name, or the microphone whose `Source.id` is given.

    Raises:
        SourceError: it is missing or cannot be used.
    """
    if settings.clips:
        return ClipPlayer(Path(settings.clips), channel=settings.channel_number, loop=settings.loop)
    return Microphone(source_id or settings.mic, settings.channel_number)
