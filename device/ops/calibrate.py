"""`moodwire device calibrate`: listens to the quiet room and sets the gate above its noise."""

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
from device.ops.listen import Sound, describe, hear
from device.settings import DeviceSettings

RESERVE_DB = 6.0
"""How much louder than now the background may become before the gate opens, or stays open, for it."""
MARGIN_DB = HYSTERESIS_DB + RESERVE_DB
"""An open gate closes only its hysteresis below, so what shall close it must be lower by that and the reserve."""
LOWEST_DBFS, HIGHEST_DBFS = -90.0, -20.0
"""Below, hardly any microphone has its own noise; above, speech would hardly reach the gate."""
UNSTEADY_DB = 12.0
"""A room whose frames spread more than this is not quiet; steady noise spreads by 1 dB, fans and traffic by less."""
MUCH_CLIPPING = 1e-4
VOICED = 0.2
"""Share of frames taken for speech from which it is said."""


@ts.settings(frozen=True)
class CalibrateSettings(DeviceSettings):
    """Settings of `moodwire device calibrate`."""

    listen_s: float = ts.option(default=10.0, help="seconds to listen to the quiet room, 1 to 60")
    dry_run: bool = ts.option(default=False, help="print what would be kept, and keep nothing")

    def __attrs_post_init__(self) -> None:
        """Check what types alone cannot.

        Raises:
            ValueError: a value is out of its range; the text names it and what would be right.
        """
        super().__attrs_post_init__()
        if not 1 <= self.listen_s <= 60:
            raise ValueError(f"listen_s is {self.listen_s}; 1 to 60 is right")


def calibrate(settings: CalibrateSettings) -> int:
    """Measure, propose a gate and keep it; return 1, and keep nothing, when room or microphone are not fit for that."""
    try:
        overrides = Overrides.load(settings.state_dir)
        before_dbfs = overrides.apply(settings).gate_dbfs
        if not settings.dry_run:
            _must_be_alone(settings.state_dir)
        source = open_source(settings)
        print(f"Listening to {source.name} for {settings.listen_s:g} s: let nobody speak.", flush=True)
        samples = hear(source, settings.listen_s)
        sound = describe(samples, before_dbfs)
    except (*UNUSABLE, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    proposed_dbfs = propose(sound)
    wrong = unfit(sound)
    after = sound if wrong else describe(samples, proposed_dbfs)
    rows = [
        ("noise floor", f"{sound.floor_dbfs:.1f} dBFS, the median of {sound.seconds:.1f} s in frames of 30 ms"),
        ("spread", f"{sound.spread_db:.1f} dB from the quietest twentieth of the frames to the loudest"),
        ("gate before", f"{before_dbfs:g} dBFS; {sound.voiced:.0%} of what was heard was taken for speech"),
    ]
    if not wrong:
        why = f"floor + {HYSTERESIS_DB:g} dB hysteresis + {RESERVE_DB:g} dB reserve"
        rows += [("gate after", f"{proposed_dbfs:g} dBFS ({why}); {after.voiced:.0%} would be")]
    print("\n".join(f"{name:<12} {value}" for name, value in rows))
    if wrong:
        print(f"Nothing is changed: {wrong}.", file=sys.stderr)
        return 1
    if after.voiced >= VOICED:
        print("Even so, much of it would be taken for speech: is a radio or a television on?")
    if settings.dry_run:
        print(f"Nothing is changed, as asked; gate_dbfs = {proposed_dbfs:g} would be kept.")
        return 0
    try:
        replace(overrides, gate_dbfs=proposed_dbfs).save(settings.state_dir)
    except OSError as error:
        print(f"{settings.state_dir} cannot be written ({error.strerror}); set gate_dbfs = {proposed_dbfs:g} yourself")
        return 1
    print(f"Kept in {settings.state_dir}, in force before the settings from the device's next start on.")
    return 0


def _must_be_alone(state_dir: Path) -> None:
    """Refuse to change what a running device holds in memory and would write again.

    Raises:
        OutboxError: a device runs with this state folder.
        OSError: the folder may not be read.
    """
    if state_dir.exists():
        os.close(outbox_file.lock(state_dir))


def propose(sound: Sound) -> float:
    """Return the gate for a room, dBFS, rounded up to whole dB and kept within sense."""
    return min(max(float(math.ceil(sound.floor_dbfs + MARGIN_DB)), LOWEST_DBFS), HIGHEST_DBFS)


def unfit(sound: Sound) -> str:
    """Return why no gate can be derived from what was heard; empty when one can."""
    if sound.zeros:
        return "the microphone delivers exact zeros; switch it on, or choose another (`moodwire device mics`)"
    if sound.clipping > MUCH_CLIPPING:
        return f"{sound.clipping:.2%} of the samples are at full scale; turn the microphone's gain down (alsamixer)"
    if sound.spread_db > UNSTEADY_DB:
        return "the room was not quiet, or somebody spoke; try again when it is, or set gate_dbfs yourself"
    if sound.floor_dbfs + MARGIN_DB > HIGHEST_DBFS:
        return (
            f"the background is so loud that speech would hardly reach a gate {MARGIN_DB:g} dB above it; "
            "turn the microphone's gain down, or move it away from the noise"
        )
    return ""
