"""Listens for some seconds and tells what the sound is like: for `moodwire device doctor` and `calibrate`."""

import threading
from dataclasses import dataclass

import numpy as np

from device.audio.level import count_clipped, to_dbfs
from device.audio.source import Source
from device.inference.speech_gate import FRAME_MS, SpeechGate
from models.frontend import Samples

SETTLING_FRAMES = 10
"""Frames at the start that do not count: many microphones click when they are opened."""
PATIENCE = 2.0
"""Seconds are waited for so many times over, and 3 s more, before a microphone is given up."""


@dataclass(frozen=True)
class Sound:
    """Facts about some seconds of sound; levels are those of its 30 ms frames, dBFS."""

    seconds: float
    """How much sound there was."""
    zeros: bool
    """Whether every sample was exactly 0, which no microphone that is switched on delivers."""
    clipping: float
    """Share of samples at full scale."""
    floor_dbfs: float
    """The median frame: clicks, a cough or a few words move a mean, but not the median, up to half of the time."""
    quiet_dbfs: float
    """The level that a tenth of the frames stay below: the background, though people talk."""
    spread_db: float
    """From the quietest twentieth to the loudest: 1 dB for steady noise, 30 dB and more for speech."""
    voiced: float
    """Share of frames that the gate takes for speech."""


def hear(source: Source, seconds: float) -> Samples:
    """Return up to so many seconds of sound, fewer when the source ends or delivers too slowly; closes it.

    Raises:
        SourceError: no sound can come until the process starts again.
    """
    pieces: list[Samples] = []
    missing = round(seconds * 16_000)
    giving_up = threading.Timer(PATIENCE * seconds + 3, source.close)
    giving_up.daemon = True
    giving_up.start()
    try:
        while missing > 0 and (block := source.read()) is not None:
            pieces.append(block.samples[:missing])
            missing -= len(pieces[-1])
    finally:
        giving_up.cancel()
        source.close()
    return np.concatenate([np.empty(0, np.int16), *pieces])


def describe(samples: Samples, gate_dbfs: float) -> Sound:
    """Return the facts of what was heard; `voiced` is judged with this gate.

    Raises:
        ValueError: there is less than half a second of sound.
    """
    gated = SpeechGate(gate_dbfs).push(samples)
    powers = gated.powers[SETTLING_FRAMES:]
    if len(powers) * FRAME_MS < 200:
        raise ValueError(f"only {len(samples) / 16_000:.1f} s of sound came; at least half a second is needed")
    lowest, quiet, middle, highest = (to_dbfs(float(power)) for power in np.percentile(powers, [5, 10, 50, 95]))
    return Sound(
        seconds=len(samples) / 16_000,
        zeros=not samples.any(),
        clipping=count_clipped(samples) / len(samples),
        floor_dbfs=middle,
        quiet_dbfs=quiet,
        spread_db=highest - lowest,
        voiced=float(gated.speech[SETTLING_FRAMES:].mean()),
    )
