"""Voice detector: whether somebody speaks in what is loud, told from music and noise by a small network (microVAD)."""

import functools
import importlib
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.audio.source import SAMPLE_RATE_HZ
from device.inference.noise_floor import FRAME_MS
from models.frontend import Samples

log = logging.getLogger(__name__)

STEP_MS = 10
STEP_SAMPLES = SAMPLE_RATE_HZ * STEP_MS // 1000
LEAD_MS = 3_000
"""Sound before a window that a detector that begins anew hears first, to know the background.

Its first 750 ms have no answer; with 1 s in all it misses 3 % more of the windows in steady noise.
"""
MIN_VOICE_MS = 200
"""A window with less voice than this holds no speech."""
LIKELY, SURE = 0.1, 0.9
"""Probability from which a step is a voice: usually, and while the background is one that looks like a voice."""
REFUSED = 0.3
"""Below this probability a step that is loud and voiced is refused: music and rattling make many of them."""
MUCH_REFUSED = 0.42
"""Share of the loud and voiced steps from which only what is sure counts; speech has up to 0.4, music up to 0.95."""
OFTEN_REFUSED = 0.12
"""And share of all time; softened by steady noise, speech is refused as much as music, but noise does not open a gate.

Most speech has up to 0.1 there, music from 0.15 on.
"""
MOSTLY_REFUSED = 0.55
"""The same share, however seldom the gate opens: faint music rises above the noise only now and then."""
LOUD_HALF_LIFE, TIME_HALF_LIFE = 6_000, 500
"""Steps after which one counts half in these shares: one minute of what is loud and voiced, and 5 s."""
PRIOR_STEPS = 100
"""So many steps that were not refused are taken for granted at first."""


class VoiceDetector:
    """microVAD, a network of 93 KB that has heard much speech, music and noise, on demand: pymicro-vad (Apache-2.0).

    It costs more than all else that a device computes, so it hears only what level and WebRTC's detector have let pass;
    a quiet room costs nothing. It goes on where it has stopped as long as all sound since then is still held, and
    begins anew otherwise. What it says does not depend on how the sound is cut into blocks.

    Args:
        vad: The network's class.
        window_samples: Length of a window.
    """

    def __init__(self, vad: Any, window_samples: int) -> None:
        self._vad = vad()
        self._window_steps = window_samples // STEP_SAMPLES
        self._most_samples = window_samples + SAMPLE_RATE_HZ * LEAD_MS // 1000
        self._pending: Samples = np.empty(0, np.int16)
        self._voice: NDArray[np.float64] = np.empty(0)
        """Probabilities of the newest steps that were judged; negative where there is none yet."""
        self._unseen = 0
        """Samples since somebody asked."""
        self._refused = self._loud = self._often = 0.0

    def push(self, samples: Samples) -> None:
        """Append samples, which are judged only if somebody asks."""
        self._unseen += len(samples)
        self._pending = np.concatenate((self._pending, samples))
        surplus = len(self._pending) - self._most_samples
        if surplus > 0:
            self._pending = self._pending[-(-surplus // STEP_SAMPLES) * STEP_SAMPLES :]
            if len(self._voice):
                self._vad.reset()
                self._voice = np.empty(0)

    def hears_voice(self, voiced: NDArray[np.bool_]) -> bool:
        """Return whether there is enough voice in the newest window.

        Args:
            voiced: which of its frames of 30 ms are loud and voiced, the last at its end.
        """
        fresh = np.array([self._vad.process_10ms(step.tobytes()) for step in self._steps()])
        self._voice = np.concatenate((self._voice, fresh))[-self._window_steps :]
        least = SURE if self._is_doubtful(fresh[-self._window_steps :], voiced) else LIKELY
        return int((self._voice >= least).sum()) * STEP_MS >= MIN_VOICE_MS

    def _is_doubtful(self, fresh: NDArray[np.float64], voiced: NDArray[np.bool_]) -> bool:
        """Learn from newly judged steps; return whether the background is one that looks like a voice."""
        steps, self._unseen = max(self._unseen // STEP_SAMPLES, len(fresh)), 0
        loud = np.repeat(voiced, FRAME_MS // STEP_MS)
        both = min(len(loud), len(fresh))  # aligned at their ends
        fresh = fresh[len(fresh) - both :]
        answered = fresh[loud[len(loud) - both :] & (fresh >= 0)]
        refused = float((answered < REFUSED).sum())
        kept = 0.5 ** (len(answered) / LOUD_HALF_LIFE)
        self._loud = self._loud * kept + len(answered)
        self._refused = self._refused * kept + refused
        kept = 0.5 ** (steps / TIME_HALF_LIFE)
        self._often = self._often * kept + refused / max(1, steps) * (1 - kept)
        share = self._refused / (self._loud + PRIOR_STEPS)
        return share >= MOSTLY_REFUSED or (share >= MUCH_REFUSED and self._often >= OFTEN_REFUSED)

    def _steps(self) -> Samples:
        """Take what is not judged yet, shape (steps, samples)."""
        whole = len(self._pending) // STEP_SAMPLES * STEP_SAMPLES
        steps, self._pending = self._pending[:whole].reshape(-1, STEP_SAMPLES), self._pending[whole:]
        return steps


def is_installed() -> bool:
    """Return whether the network is there; that it is not is logged once."""
    return _network() is not None


def create(window_samples: int) -> VoiceDetector | None:
    """Return a detector; None where pymicro-vad is not installed, which is logged once."""
    vad = _network()
    return None if vad is None else VoiceDetector(vad, window_samples)


@functools.cache
def _network() -> Any:
    try:
        return importlib.import_module("pymicro_vad").MicroVad
    except ImportError as error:  # no wheel: macOS, musl, 32 bits
        log.warning(
            "pymicro-vad cannot be loaded (%s), so music may be taken for speech; install it where it has a wheel",
            error,
        )
        return None
