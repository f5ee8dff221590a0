"""Blocks of sound in, one result per window out: a generator without I/O, so that tests can hold it in hand.

The caller passes the clock in with each block. The result does not depend on how the sound is cut into blocks.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from device.audio.level import count_clipped, level_dbfs
from device.audio.source import SAMPLE_RATE_HZ, Block
from device.inference.noise_floor import NoiseFloor
from device.inference.speech_gate import FRAME_MS, FRAME_SAMPLES, SpeechGate
from models.bundle import Manifest
from models.frontend import Frames, LogMelStream, Samples
from models.runtime import Scores

State = Literal["silent", "speech", "uncertain"]

MIN_SPEECH_MS = 600
"""A window with less speech than this is silent: it holds too little to judge."""
SMOOTHING = 0.5
"""Weight of the newest window in the exponential mean of the scores (first-order low pass)."""

Classify = Callable[[Frames], Scores]


class Window(NamedTuple):
    """What was heard in one window."""

    end_ms: int
    """Time of its end, by the clock of its blocks."""
    state: State
    scores: Scores | None
    """Calibrated probabilities of this window alone; None when silent."""
    smoothed: Scores | None
    """Their mean with those of the windows before; None when silent."""
    top: str | None
    """Label with the highest smoothed probability; None when silent."""
    level_dbfs: float
    """Of the whole window."""
    clipping: float
    """Share of samples at full scale in the newest hop."""
    snr_db: float | None
    """How far its speech frames stand above the background, 0 to 120; None when silent."""


class Smoother:
    """Exponential mean of the scores of consecutive windows; silence starts it anew."""

    def __init__(self) -> None:
        self._mean: Scores | None = None

    def push(self, scores: Scores) -> Scores:
        """Take one window's scores and return the mean, shape (labels,)."""
        self._mean = scores if self._mean is None else SMOOTHING * scores + (1 - SMOOTHING) * self._mean
        return self._mean

    def reset(self) -> None:
        """Forget what was heard before."""
        self._mean = None


class Recent:
    """The newest samples or frames of a stream, up to a window's length, along the first axis."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._values: np.ndarray | None = None

    def push(self, values: np.ndarray) -> None:
        """Append values and let go of what is older than the window."""
        joined = values if self._values is None else np.concatenate((self._values, values))
        self._values = joined[-self._length :]

    @property
    def values(self) -> np.ndarray:
        """The newest values, at most the window's length."""
        assert self._values is not None, "pushed before read"
        return self._values


def windows(blocks: Iterable[Block], manifest: Manifest, classify: Classify, gate_dbfs: float) -> Iterator[Window]:
    """Yield one `Window` per hop, the first as soon as a whole window has been heard without a gap."""
    background = NoiseFloor()
    stretch = _Stretch(manifest, classify, gate_dbfs, background)
    for block in blocks:
        if block.after_gap:
            stretch = _Stretch(manifest, classify, gate_dbfs, background)
        yield from stretch.push(block)


class _Stretch:
    """Sound without a gap; the next stretch begins anew, so that no window holds what lies on both sides of a hole.

    Only the background is shared by all, as the order of its frames means nothing.
    """

    def __init__(self, manifest: Manifest, classify: Classify, gate_dbfs: float, background: NoiseFloor) -> None:
        self._manifest = manifest
        self._classify = classify
        self._background = background
        self._hops = _Hops(manifest.hop_samples)
        self._gate = SpeechGate(gate_dbfs)
        self._log_mel = LogMelStream(manifest.front_end)
        self._smoother = Smoother()
        self._samples = Recent(manifest.window_samples)
        self._frames = Recent(manifest.window_frames)
        self._speech = Recent(manifest.window_samples // FRAME_SAMPLES)
        self._powers = Recent(manifest.window_samples // FRAME_SAMPLES)

    def push(self, block: Block) -> Iterator[Window]:
        """Take the next block and yield the windows that it completes."""
        for hop in self._hops.push(block):
            self._samples.push(hop.samples)
            self._frames.push(self._log_mel.push(hop.samples))
            gated = self._gate.push(hop.samples)
            self._speech.push(gated.speech)
            self._powers.push(gated.powers)
            self._background.push(gated.powers)
            if len(self._samples.values) == self._manifest.window_samples:
                yield self._window(hop)

    def _window(self, hop: Block) -> Window:
        speech = self._speech.values
        state, scores, smoothed = _judge(self._frames.values, speech, self._manifest, self._classify, self._smoother)
        return Window(
            end_ms=hop.end_ms,
            state=state,
            scores=scores,
            smoothed=smoothed,
            top=None if smoothed is None else self._manifest.labels[int(smoothed.argmax())],
            level_dbfs=level_dbfs(self._samples.values),
            clipping=count_clipped(hop.samples) / len(hop.samples),
            snr_db=None if state == "silent" else self._background.snr_db(self._powers.values[speech]),
        )


def _judge(
    frames: Frames, speech: np.ndarray, manifest: Manifest, classify: Classify, smoother: Smoother
) -> tuple[State, Scores | None, Scores | None]:
    if int(speech.sum()) * FRAME_MS < MIN_SPEECH_MS:
        smoother.reset()
        return "silent", None, None
    scores = classify(frames)
    smoothed = smoother.push(scores)
    return "speech" if smoothed.max() >= manifest.uncertain_below else "uncertain", scores, smoothed


class _Hops:
    """Cuts blocks of any size into hops of one size, with the time of each hop's end."""

    def __init__(self, hop_samples: int) -> None:
        self._hop_samples = hop_samples
        self._pending: Samples = np.empty(0, np.int16)

    def push(self, block: Block) -> Iterator[Block]:
        pending = np.concatenate((self._pending, block.samples))
        while len(pending) >= self._hop_samples:
            hop, pending = pending[: self._hop_samples], pending[self._hop_samples :]
            yield Block(hop, block.end_ms - len(pending) * 1000 // SAMPLE_RATE_HZ)
        self._pending = pending
