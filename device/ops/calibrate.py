"""`moodwire device calibrate`: listens to the quiet room and checks the speech gate.

A gate at a fixed level is set above the noise of the room; one that follows the noise floor needs no setting.
"""

import math
import os
import sys
from pathlib import Path

import typed_settings as ts
from msgspec.structs import replace

from device.audio.open_source import open_source
from device.control.overrides import Overrides
from device.delivery import outbox_file
from device.errors import UNUSABLE
from device.inference.speech_gate import HYSTERESIS_DB
from device.ops.listen import SoundStats, listen, measure
from device.settings import DeviceSettings

RESERVE_DB = 6.0
"""How much louder the background may become before it opens the gate, or keeps it open."""
MARGIN_DB = HYSTERESIS_DB + RESERVE_DB
"""Of the gate above the noise: an open gate closes by its hysteresis lower than it opens."""
LOWEST_DBFS, HIGHEST_DBFS = -90.0, -20.0
"""Hardly any microphone has less noise of its own than the first; speech hardly reaches a gate above the second."""
UNSTEADY_DB = 12.0
"""A room whose frames spread more than this is not quiet; steady noise spreads by 1 dB."""
MUCH_CLIPPING = 1e-4
"""Share of samples at full scale from which the gain is too high to measure a room."""
MUCH_SPEECH = 0.2
"""Share of frames taken for speech, in spite of the new gate, from which the user is warned."""


@ts.settings(frozen=True)
class CalibrateSettings(DeviceSettings):
    """Settings of `moodwire device calibrate`."""

    listen_s: float = ts.option(default=10.0, help="seconds to listen to the quiet room, 1 to 60")
    dry_run: bool = ts.option(default=False, help="print the proposed gate, and change nothing")

    def __attrs_post_init__(self) -> None:
        """Check what types alone cannot.

        Raises:
            ValueError: a value is out of its range; the message names the range.
        """
        super().__attrs_post_init__()
        if not 1 <= self.listen_s <= 60:
            raise ValueError(f"listen_s is {self.listen_s}; use 1 to 60")


def calibrate(settings: CalibrateSettings) -> int:
    """Measure the noise, and check or set the gate; return 1, and change nothing, if this room cannot be measured."""
    try:
        overrides = Overrides.load(settings.state_dir)
        before_dbfs = overrides.apply(settings).gate_dbfs
        if not settings.dry_run:
            _refuse_while_running(settings.state_dir)
        source = open_source(settings)
        print(f"Listening to {source.name} for {settings.listen_s:g} s; stay silent.", flush=True)
        samples = listen(source, settings.listen_s)
        sound = measure(samples, before_dbfs)
    except (*UNUSABLE, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    proposed_dbfs = propose(sound)
    unfit = why_unfit(sound)
    if source.meter.fault:
        unfit = f"{source.name} {source.meter.fault}; {source.meter.todo}"
    after = sound if unfit or before_dbfs is None else measure(samples, proposed_dbfs)
    before = "follows the noise floor" if before_dbfs is None else f"{before_dbfs:g} dBFS"
    rows = [
        ("noise floor", f"{sound.median_dbfs:.1f} dBFS, the median of {sound.seconds:.1f} s in frames of 30 ms"),
        ("spread", f"{sound.spread_db:.1f} dB from the 5th to the 95th percentile of the frames"),
        ("gate before", f"{before}; {sound.speech_ratio:.0%} of the sound was taken for speech"),
    ]
    if not unfit and before_dbfs is not None:
        why = f"floor + {HYSTERESIS_DB:g} dB hysteresis + {RESERVE_DB:g} dB reserve"
        rows += [("gate after", f"{proposed_dbfs:g} dBFS ({why}); {after.speech_ratio:.0%} would be taken for speech")]
    print("\n".join(f"{name:<12} {value}" for name, value in rows))
    if unfit:
        print(f"Nothing has changed: {unfit}.", file=sys.stderr)
        return 1
    if after.speech_ratio >= MUCH_SPEECH:
        print("Much of the sound would still be taken for speech; switch radio and television off, and run this again.")
    if before_dbfs is None:
        print("Nothing needs to be set: the gate follows the noise floor of the room.")
        return 0
    if settings.dry_run:
        print(f"Nothing has changed, because of --dry-run; gate_dbfs would be {proposed_dbfs:g}.")
        return 0
    try:
        replace(overrides, gate_dbfs=proposed_dbfs).save(settings.state_dir)
    except OSError as error:
        print(f"{settings.state_dir} cannot be written ({error.strerror}); set gate_dbfs = {proposed_dbfs:g} yourself")
        return 1
    print(f"Saved in {settings.state_dir}; from the device's next start on, it overrides the setting gate_dbfs.")
    return 0


def _refuse_while_running(state_dir: Path) -> None:
    """Refuse to change a gate that a running device has in memory and would write over.

    Raises:
        OutboxError: a device runs with this state folder.
        OSError: the folder may not be read.
    """
    if state_dir.exists():
        os.close(outbox_file.lock(state_dir))


def propose(sound: SoundStats) -> float:
    """Return the gate for a room, whole dBFS, -90 to -20."""
    return min(max(float(math.ceil(sound.median_dbfs + MARGIN_DB)), LOWEST_DBFS), HIGHEST_DBFS)


def why_unfit(sound: SoundStats) -> str:
    """Return why no gate can be derived from this sound, and what to do; empty if one can."""
    if sound.all_zeros:
        return "the microphone delivers exact zeros; switch it on, or set mic to another one of `moodwire device mics`"
    if sound.clipped_ratio > MUCH_CLIPPING:
        return f"{sound.clipped_ratio:.2%} of the samples are at full scale; turn the gain down with alsamixer (F4)"
    if sound.spread_db > UNSTEADY_DB:
        return "the room was not quiet, or somebody spoke; try again when it is quiet, or set gate_dbfs yourself"
    if sound.median_dbfs + MARGIN_DB > HIGHEST_DBFS:
        return (
            f"the background is so loud that speech would hardly reach a gate {MARGIN_DB:g} dB above it; "
            "turn the gain down, or move the microphone away from the noise"
        )
    return ""
