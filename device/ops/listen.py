"""Some seconds of sound and what they are like, for `moodwire device doctor` and `calibrate`."""

import threading
from dataclasses import dataclass

import numpy as np

from common.level import to_dbfs
from device.audio.level import count_clipped
from device.audio.source import SAMPLE_RATE_HZ, Source
from device.inference.noise_floor import FRAME_MS, NoiseFloor
from device.inference.speech_gate import SpeechGate
from models.frontend import Samples

SETTLING_FRAMES = 10
"""Frames at the start that do not count: many microphones click when they are opened."""
GRACE_S = 3.0
"""How much longer than twice the time to wait for a source that is slow."""
SHORTEST_MS = 200
"""Least sound after these frames that can be measured."""


@dataclass(frozen=True)
class SoundStats:
    """Statistics of some seconds of sound; levels are those of its 30 ms frames, dBFS."""

    seconds: float
    """How much sound there was."""
    all_zeros: bool
    """Whether every sample was exactly 0, which no microphone that is switched on delivers."""
    clipped_ratio: float
    """Share of samples at full scale."""
    median_dbfs: float
    """Unlike the mean, hardly moved by clicks, a cough or a few words."""
    background_dbfs: float
    """The level that a tenth of the frames stay below: what is heard between words."""
    spread_db: float
    """From the 5th to the 95th percentile: 1 dB for steady noise, 30 dB and more for speech."""
    speech_ratio: float
    """Share of frames that the gate takes for speech."""


def listen(source: Source, seconds: float) -> Samples:
    """Return up to so many seconds of sound, fewer if the source ends or delivers too slowly; close the source.

    Raises:
        SourceError: no sound can come until the process starts again.
    """
    pieces: list[Samples] = []
    missing = round(seconds * SAMPLE_RATE_HZ)
    timeout = threading.Timer(2 * seconds + GRACE_S, source.close)
    timeout.daemon = True
    timeout.start()
    try:
        while missing > 0 and (block := source.read()) is not None:
            pieces.append(block.samples[:missing])
            missing -= len(pieces[-1])
    finally:
        timeout.cancel()
        source.close()
    return np.concatenate([np.empty(0, np.int16), *pieces])


def measure(samples: Samples, gate_dbfs: float | None) -> SoundStats:
    """Return the statistics of some sound; a gate at this level judges what is speech, or one that follows the noise.

    Raises:
        ValueError: there is less than half a second of sound.
    """
    gated = SpeechGate(gate_dbfs, NoiseFloor()).push(samples)
    powers = gated.powers[SETTLING_FRAMES:]
    seconds = len(samples) / SAMPLE_RATE_HZ
    if len(powers) * FRAME_MS < SHORTEST_MS:
        raise ValueError(f"only {seconds:.1f} s of sound came; at least half a second is needed")
    lowest, quiet, middle, highest = (to_dbfs(float(power)) for power in np.percentile(powers, [5, 10, 50, 95]))
    return SoundStats(
        seconds=seconds,
        all_zeros=not samples.any(),
        clipped_ratio=count_clipped(samples) / len(samples),
        median_dbfs=middle,
        background_dbfs=quiet,
        spread_db=highest - lowest,
        speech_ratio=float(gated.speech[SETTLING_FRAMES:].mean()),
    )
