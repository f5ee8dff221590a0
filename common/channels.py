"""Channels of a recording: one of them or their mean, the level of each, and a mean in which sound is lost.

Needs NumPy, which a server without plots of its own may lack: import it only in rooms that hear sound.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from common.level import to_dbfs

MEAN = "mean"
"""Value of the setting `channel` that stands for the mean of all channels."""
MOST = 64
"""Highest number of channels that is accepted, as in fifth-order ambisonics and more."""
LOSS_DB = 10.0
"""A mean that is this much quieter than one of its channels loses sound: one live channel of two costs 6 dB only."""
AUDIBLE_DBFS = -50.0
"""Quieter blocks are not judged: microphones' own noises have little in common."""
JUDGED_S = 1.0
"""How much audible sound is judged together, unless told otherwise."""
LEAST_JUDGED_S = 0.3
"""Less audible sound than this is not judged at the end of a file."""

Sound = TypeVar("Sound", NDArray[np.int16], NDArray[np.float32])


def parse(setting: str) -> int | None:
    """Return the number that the setting `channel` means, from 1; None for the mean.

    Raises:
        ValueError: it is neither `mean` nor such a number.
    """
    if setting == MEAN:
        return None
    if setting.isascii() and setting.isdecimal() and 1 <= int(setting) <= MOST:
        return int(setting)
    raise ValueError(f"channel is {setting!r}; use {MEAN}, or a number from 1 to {MOST}")


def missing(channel: int | None, channels: int) -> str:
    """Return the end of a sentence about sound that lacks the wanted channel; empty if it has it."""
    if channel is None or channel <= channels:
        return ""
    if channels == 1:
        return f"has 1 channel and no channel {channel}; set channel to 1 or {MEAN}"
    return f"has {channels} channels and no channel {channel}; set channel to 1 to {channels}, or to {MEAN}"


def to_mono(sound: Sound, channel: int | None) -> Sound:
    """Return one channel of sound of shape (samples, channels), or the mean of all, shape (samples,).

    The mean by default, not one of them: many stereo cards have their one capsule on either side only.
    """
    if channel is not None or sound.shape[1] == 1:
        one: Sound = np.ascontiguousarray(sound[:, (channel or 1) - 1])
        return one
    mean = sound.mean(axis=1)
    mono: Sound = (np.rint(mean) if sound.dtype == np.int16 else mean).astype(sound.dtype)
    return mono


class ChannelMeter:
    """Levels of the channels of one source, and whether their mean loses sound that one of them has.

    Args:
        channel: The one that is heard; None for the mean.
        judged_s: How much audible sound is judged together.
    """

    def __init__(self, channel: int | None, judged_s: float = JUDGED_S) -> None:
        self._channel = channel
        self._judged_s = judged_s
        self._sums = np.zeros(0)
        """Of squares since the beginning, full scale 1; one for each channel."""
        self._frames = 0
        self._judged = _Energy(0)
        self.fault = ""
        """End of a sentence about a mean that loses sound; empty if none was noticed."""
        self.todo = ""
        """What to do about it."""

    @property
    def levels_dbfs(self) -> tuple[float, ...]:
        """RMS level of each channel since the beginning, -120 to 0 dBFS."""
        return tuple(to_dbfs(power) for power in self._sums / max(1, self._frames))

    def push(self, sound: NDArray[np.int16] | NDArray[np.float32], rate_hz: int) -> None:
        """Take the next sound, shape (samples, channels), int16 or float32 with full scale 1."""
        if sound.shape[1] != len(self._sums):
            self._sums, self._frames, self._judged = np.zeros(sound.shape[1]), 0, _Energy(sound.shape[1])
        if len(sound) == 0:
            return
        scaled = sound.astype(np.float32) / np.float32(32_768) if sound.dtype == np.int16 else sound
        squares = np.einsum("ij,ij->j", scaled, scaled).astype(np.float64)
        self._sums += squares
        self._frames += len(sound)
        if self._channel is None and len(squares) > 1 and to_dbfs(squares.max() / len(sound)) >= AUDIBLE_DBFS:
            mean = scaled.mean(axis=1)
            self._judged.add(squares, float(mean @ mean), len(sound))
            if self._judged.frames >= self._judged_s * rate_hz:
                self.end(rate_hz)

    def end(self, rate_hz: int) -> None:
        """Judge the mean by what was audible since the last time; call it at the end of a file."""
        energy, self._judged = self._judged, _Energy(len(self._sums))
        if energy.frames >= LEAST_JUDGED_S * rate_hz and not self.fault:
            self.fault, self.todo = energy.fault()


class _Energy:
    """Energy of some channels and of their mean, over some audible sound."""

    def __init__(self, channels: int) -> None:
        self._channels = np.zeros(channels)
        self._mean = 0.0
        self.frames = 0

    def add(self, channels: NDArray[np.float64], mean: float, frames: int) -> None:
        self._channels += channels
        self._mean += mean
        self.frames += frames

    def fault(self) -> tuple[str, str]:
        """Return the end of a sentence and what to do if the mean loses sound; else nothing."""
        levels = [to_dbfs(energy / self.frames) for energy in self._channels]
        loudest = int(np.argmax(levels))
        loss_db = levels[loudest] - to_dbfs(self._mean / self.frames)
        if loss_db < LOSS_DB:
            return "", ""
        lost = f"their mean is {loss_db:.0f} dB quieter than channel {loudest + 1}"
        todo = f"set channel = {loudest + 1}"
        if len(levels) == 2:  # one silent channel of two costs 6 dB: more is lost only where they cancel each other
            return f"has two channels out of phase: {lost}", todo
        told = ", ".join(f"{level:.0f}" for level in levels)
        return f"has {len(levels)} channels ({told} dBFS): {lost}", f"{todo}, or another one if that one is a loopback"
