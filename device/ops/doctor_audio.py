"""The doctor's checks of what the device hears: microphone, level, speech gate."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from common.report import Finding
from device.audio.open_source import open_source
from device.audio.source import SourceError
from device.inference.speech_gate import HYSTERESIS_DB
from device.ops.listen import Sound, describe, hear
from device.settings import DeviceSettings

SOUND_DEVICES = Path("/dev/snd")
NAMES = ("microphone", "level", "speech_gate")
MUCH_CLIPPING = 1e-3
FAINT_DBFS = -90.0
"""Even a quiet room and a quiet microphone have more; less means that the gain is at its lowest."""
VOICED = 0.2


class Holder(NamedTuple):
    """A process that has a capture device open."""

    pid: int
    command: str
    device: str

    @property
    def is_moodwire(self) -> bool:
        """Whether it is a running moodwire device."""
        return "moodwire" in self.command and " device run" in self.command


def check(settings: DeviceSettings, seconds: float) -> list[Finding]:
    """Listen for some seconds and judge what came."""
    try:
        source = open_source(settings)
    except SourceError as error:
        return [_unopened(error), *_unheard("there is nothing to listen to")]
    name = source.name
    try:
        samples = hear(source, seconds)
        sound = describe(samples, settings.gate_dbfs)
    except (SourceError, ValueError) as error:
        todo = "plug it in again; if that does not help, try another port, cable or power supply"
        return [Finding("microphone", "fail", f"{name!r} is there, but {error}", todo), *_unheard("no sound came")]
    if sound.zeros:
        seen = f"{name!r} delivers exact zeros: it is muted or switched off"
        todo = "switch it on, unmute it with alsamixer (F4), or choose another of `moodwire device mics` with --mic"
        return [Finding("microphone", "fail", seen, todo), *_unheard("there is only digital silence")]
    found = Finding("microphone", "ok", f"{name!r} delivered {sound.seconds:.1f} s of sound")
    return [found, _level(sound), _gate(sound, settings.gate_dbfs)]


def holders(folder: Path = SOUND_DEVICES) -> Iterator[Holder]:
    """Yield the processes that have a capture device of this folder open, as far as this user may see (proc(5))."""
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        try:
            command = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            opened = {str(link.readlink()) for link in process.joinpath("fd").iterdir()}
        except OSError:
            continue  # it has ended, or belongs to somebody else
        for target in sorted(opened):
            if target.startswith(f"{folder}/pcm") and target.endswith("c"):
                yield Holder(int(process.name), command, target)


def _unopened(error: SourceError) -> Finding:
    """Say why the microphone cannot be opened: a card that another process has open often seems not to be there."""
    holding = next(holders(), None)
    if holding is None:
        todo = "see `moodwire device mics`; if another program has the microphone, run this with sudo to have it named"
        return Finding("microphone", "fail", str(error), todo)
    if holding.is_moodwire:
        seen = f"the running moodwire device (process {holding.pid}) listens to {holding.device}"
        return Finding("microphone", "ok", seen, "to have the sound looked at here, stop it for the time of this check")
    seen = f"process {holding.pid} ({holding.command[:60]}) has {holding.device} open ({error})"
    return Finding("microphone", "fail", seen, "end that program, or let it use another microphone")


def _unheard(why: str) -> list[Finding]:
    return [Finding(name, "skip", f"not looked at, as {why}") for name in NAMES[1:]]


def _level(sound: Sound) -> Finding:
    seen = f"the median is {sound.floor_dbfs:.1f} dBFS, and {sound.clipping:.2%} of the samples are at full scale"
    if sound.clipping > MUCH_CLIPPING:
        return Finding("level", "warn", seen, "turn the microphone's gain down with alsamixer (F4)")
    if sound.floor_dbfs < FAINT_DBFS:
        return Finding("level", "warn", seen, "turn the microphone's gain up with alsamixer (F4)")
    return Finding("level", "ok", seen)


def _gate(sound: Sound, gate_dbfs: float) -> Finding:
    closing_dbfs = gate_dbfs - HYSTERESIS_DB
    background = f"the background, {sound.quiet_dbfs:.1f} dBFS,"
    todo = "run `moodwire device calibrate` while nobody speaks"
    if sound.quiet_dbfs >= closing_dbfs:
        seen = f"{background} keeps the gate open: it opens at {gate_dbfs:g} and closes at {closing_dbfs:g} dBFS"
        return Finding("speech_gate", "warn", seen, todo)
    seen = f"{background} is below the gate at {gate_dbfs:g} dBFS; {sound.voiced:.0%} was taken for speech"
    if sound.voiced >= VOICED:
        return Finding("speech_gate", "warn", seen, f"if nobody spoke, and no radio played, {todo}")
    return Finding("speech_gate", "ok", seen)
