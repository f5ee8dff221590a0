"""The doctor's checks of the sound: microphone, level, speech gate."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from common.channels import ChannelMeter
from common.report import Finding
from device.audio.open_source import open_source
from device.audio.source import SourceError
from device.inference import voice_detector
from device.inference.speech_gate import HYSTERESIS_DB
from device.ops.listen import SoundStats, listen, measure
from device.settings import DeviceSettings

SOUND_DEVICES = Path("/dev/snd")
NAMES = ("microphone", "level", "speech_gate")
MUCH_CLIPPING = 1e-3
"""Share of samples at full scale from which the gain is called too high."""
FAINT_DBFS = -90.0
"""Even a quiet room is louder than this, unless the gain is at its lowest."""
MUCH_SPEECH = 0.2
"""Share of frames taken for speech from which the gate is called too low for the room."""


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
    """Listen for some seconds and judge the sound."""
    try:
        source = open_source(settings)
    except SourceError as error:
        return [_not_opened(error), *_skipped("there is nothing to listen to")]
    name = source.name
    try:
        sound = measure(listen(source, seconds), settings.gate_dbfs)
    except (SourceError, ValueError) as error:
        todo = "plug it in again; if that does not help, try another port, cable or power supply"
        return [Finding("microphone", "fail", f"{name!r} was opened, but {error}", todo), *_skipped("no sound came")]
    meter = source.meter
    if sound.all_zeros and meter.fault:
        seen = f"{name!r} {meter.fault}"
        return [Finding("microphone", "fail", seen, meter.todo), *_skipped("the channels cancel each other out")]
    if sound.all_zeros:
        seen = f"{name!r} delivers exact zeros, so it is muted or switched off"
        todo = "switch it on, unmute it with alsamixer (F4), or set mic to another one of `moodwire device mics`"
        return [Finding("microphone", "fail", seen, todo), *_skipped("there is only digital silence")]
    found = Finding("microphone", "ok", f"{name!r} delivered {sound.seconds:.1f} s of sound")
    return [found, _level(sound, meter), _with_detector(_gate(sound, settings.gate_dbfs))]


def find_holders(folder: Path = SOUND_DEVICES) -> Iterator[Holder]:
    """Yield other processes that have a capture device of this folder open, if this user may see them (proc(5))."""
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        try:
            command = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            opened = {str(link.readlink()) for link in process.joinpath("fd").iterdir()}
        except OSError:
            continue  # the process has ended, or is another user's
        for target in sorted(opened):
            if target.startswith(f"{folder}/pcm") and target.endswith("c"):
                yield Holder(int(process.name), command, target)


def _not_opened(error: SourceError) -> Finding:
    """Name the process that has a microphone open: its card often looks missing to others."""
    holder = next(find_holders(), None)
    if holder is None:
        todo = "choose one of `moodwire device mics`; run this with sudo to see whether another program has it open"
        return Finding("microphone", "fail", str(error), todo)
    if holder.is_moodwire:
        seen = f"the running moodwire device (process {holder.pid}) listens to {holder.device}"
        return Finding("microphone", "ok", seen, "stop that device during this check to have the sound checked too")
    seen = f"process {holder.pid} ({holder.command[:60]}) has {holder.device} open ({error})"
    return Finding("microphone", "fail", seen, "end that program, or set it to another microphone")


def _skipped(why: str) -> list[Finding]:
    return [Finding(name, "skip", f"not checked, because {why}") for name in NAMES[1:]]


def _level(sound: SoundStats, meter: ChannelMeter) -> Finding:
    seen = f"the median is {sound.median_dbfs:.1f} dBFS, and {sound.clipped_ratio:.2%} of the samples are at full scale"
    if len(meter.levels_dbfs) > 1:
        levels = ", ".join(f"{number}: {level:.1f}" for number, level in enumerate(meter.levels_dbfs, 1))
        seen = f"{seen}; channels {levels} dBFS"
    if meter.fault:
        return Finding("level", "warn", f"{seen}; it {meter.fault}", meter.todo)
    if sound.clipped_ratio > MUCH_CLIPPING:
        return Finding("level", "warn", seen, "turn the microphone's gain down with alsamixer (F4)")
    if sound.median_dbfs < FAINT_DBFS:
        return Finding("level", "warn", seen, "turn the microphone's gain up with alsamixer (F4)")
    return Finding("level", "ok", seen)


def _with_detector(gate: Finding) -> Finding:
    """Add to a finding without a fault that nothing tells voices from music, where that is so."""
    if gate.result != "ok" or voice_detector.is_installed():
        return gate
    seen = f"{gate.seen}; but pymicro-vad is not installed, so music may be taken for speech"
    return Finding(gate.name, "warn", seen, "run `make device` again; pymicro-vad has wheels for Linux on 64 bits")


def _gate(sound: SoundStats, gate_dbfs: float | None) -> Finding:
    if gate_dbfs is None:
        return _following_gate(sound)
    closing_dbfs = gate_dbfs - HYSTERESIS_DB
    background = f"the background at {sound.background_dbfs:.1f} dBFS"
    todo = "run `moodwire device calibrate` while nobody speaks"
    if sound.background_dbfs >= closing_dbfs:
        seen = f"{background} keeps the gate open: it opens at {gate_dbfs:g} and closes at {closing_dbfs:g} dBFS"
        return Finding("speech_gate", "warn", seen, todo)
    seen = f"{background} is below the gate at {gate_dbfs:g} dBFS; {sound.speech_ratio:.0%} was taken for speech"
    if sound.speech_ratio >= MUCH_SPEECH:
        return Finding("speech_gate", "warn", seen, f"if nobody spoke, and no radio played, {todo}")
    return Finding("speech_gate", "ok", seen)


def _following_gate(sound: SoundStats) -> Finding:
    seen = f"the gate follows the background at {sound.background_dbfs:.1f} dBFS; "
    seen += f"{sound.speech_ratio:.0%} was taken for speech"
    if sound.speech_ratio >= MUCH_SPEECH:
        todo = "if nobody spoke, switch radio and television off, and run this again"
        return Finding("speech_gate", "warn", seen, todo)
    return Finding("speech_gate", "ok", seen)
