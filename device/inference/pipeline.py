"""Pipeline from blocks of sound to one result per window; a generator without I/O.

Time comes with the blocks. The result does not depend on how the sound is cut into blocks.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from device.audio.level import count_clipped, level_dbfs
from device.audio.source import SAMPLE_RATE_HZ, Block
from device.inference import voice_detector
from device.inference.baseline import Adjusted
from device.inference.noise_floor import FRAME_MS, FRAME_SAMPLES, NoiseFloor
from device.inference.speech_gate import SpeechGate
from models.bundle import Manifest
from models.frontend import Frames, LogMelStream, Samples
from models.runtime import Scores

WindowState = Literal["silent", "noise", "speech", "uncertain"]
"""Only `speech` and `uncertain` windows have scores; in `noise` the gate was open, but nobody spoke."""

LEAST_SPEECH_MS = 150
"""A window in which the speech gate let less pass is silent: not even one word was said."""
MIN_SPEECH_MS = 600
"""So much must pass where there is no voice detector, since WebRTC's goes on for a while after a voice."""
NOISE_SNR_DB = 20.0
"""Speech that stands less far above the noise floor is heard in noise, which hides all but its vowels."""
SMOOTHING = 0.5
"""Weight of the newest window in the exponential mean of the scores (first-order low pass)."""

Classify = Callable[[Frames], Scores]
Adjust = Callable[[Scores], Adjusted | None]
"""Takes the scores of each window with speech, and returns them after the baseline; None where there is none."""


class Window(NamedTuple):
    """Result of one window."""

    end_ms: int
    """When it ends, by the clock of its blocks."""
    state: WindowState
    scores: Scores | None
    """Calibrated probabilities of this window alone, after the baseline, shape (labels,); None without speech."""
    smoothed: Scores | None
    """Exponential mean with the scores of the windows before; None without speech."""
    top: str | None
    """Label with the highest smoothed probability; None without speech."""
    level_dbfs: float
    """Of the whole window."""
    clipping: float
    """Share of samples at full scale in the newest hop."""
    snr_db: float | None
    """How far its speech frames stand above the noise floor, 0 to 120; None without speech."""
    baseline: float | None = None
    """How strongly the baseline was in force, 0 to 1; None without one, and without speech."""


class Smoother:
    """Exponential mean of the scores of consecutive windows; one without speech restarts it."""

    def __init__(self) -> None:
        self._mean: Scores | None = None

    def push(self, scores: Scores) -> Scores:
        """Take one window's scores and return the mean, shape (labels,)."""
        self._mean = scores if self._mean is None else SMOOTHING * scores + (1 - SMOOTHING) * self._mean
        return self._mean

    def reset(self) -> None:
        """Forget the windows before."""
        self._mean = None


class SlidingBuffer:
    """The newest samples or frames of a stream, along the first axis, up to a length."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._values: np.ndarray | None = None

    def push(self, values: np.ndarray) -> None:
        """Append values and drop the oldest beyond the length."""
        joined = values if self._values is None else np.concatenate((self._values, values))
        self._values = joined[-self._length :]

    @property
    def values(self) -> np.ndarray:
        """The newest values, at most the length."""
        assert self._values is not None, "pushed before read"
        return self._values


def windows(
    blocks: Iterable[Block],
    manifest: Manifest,
    classify: Classify,
    gate_dbfs: float | None,
    adjust: Adjust | None = None,
) -> Iterator[Window]:
    """Yield one `Window` per hop, the first as soon as a whole window without a gap has been heard."""
    noise_floor = NoiseFloor()
    stretch = _Stretch(manifest, classify, adjust, gate_dbfs, noise_floor)
    for block in blocks:
        if block.after_gap:
            stretch = _Stretch(manifest, classify, adjust, gate_dbfs, noise_floor)
        yield from stretch.push(block)


class _Stretch:
    """A stretch of sound without a gap; a new one begins after each gap, so that no window reaches across it.

    Stretches share only the noise floor, to which the order of frames means nothing.
    """

    def __init__(
        self,
        manifest: Manifest,
        classify: Classify,
        adjust: Adjust | None,
        gate_dbfs: float | None,
        noise_floor: NoiseFloor,
    ) -> None:
        self._manifest = manifest
        self._classify = classify
        self._adjust = adjust
        self._noise_floor = noise_floor
        self._hops = _HopCutter(manifest.hop_samples)
        self._gate = SpeechGate(gate_dbfs, noise_floor)
        self._voice = voice_detector.create(manifest.window_samples)
        self._log_mel = LogMelStream(manifest.front_end)
        self._smoother = Smoother()
        self._samples = SlidingBuffer(manifest.window_samples)
        self._log_mel_frames = SlidingBuffer(manifest.window_frames)
        self._speech = SlidingBuffer(manifest.window_samples // FRAME_SAMPLES)
        self._powers = SlidingBuffer(manifest.window_samples // FRAME_SAMPLES)

    def push(self, block: Block) -> Iterator[Window]:
        """Append a block and yield the windows that it completes."""
        for hop in self._hops.push(block):
            self._samples.push(hop.samples)
            self._log_mel_frames.push(self._log_mel.push(hop.samples))
            gated = self._gate.push(hop.samples)
            if self._voice:
                self._voice.push(hop.samples)
            self._speech.push(gated.speech)
            self._powers.push(gated.powers)
            if len(self._samples.values) == self._manifest.window_samples:
                yield self._window(hop)

    def _window(self, hop: Block) -> Window:
        speech = self._speech.values
        scores = smoothed = top = snr_db = strength = None
        state = self._heard(speech)
        if state != "speech":
            self._smoother.reset()
        else:
            scores = self._classify(self._log_mel_frames.values)
            adjusted = self._adjust(scores) if self._adjust else None
            if adjusted:
                scores, strength = adjusted
            smoothed = self._smoother.push(scores)
            state = "speech" if smoothed.max() >= self._manifest.uncertain_below else "uncertain"
            top = self._manifest.labels[int(smoothed.argmax())]
            snr_db = self._noise_floor.snr_db(self._powers.values[speech])
        return Window(
            end_ms=hop.end_ms,
            state=state,
            scores=scores,
            smoothed=smoothed,
            top=top,
            level_dbfs=level_dbfs(self._samples.values),
            clipping=count_clipped(hop.samples) / len(hop.samples),
            snr_db=snr_db,
            baseline=strength,
        )

    def _heard(self, speech: NDArray[np.bool_]) -> WindowState:
        """Return whether a window holds speech, by the frames that the speech gate has let pass; else what."""
        passed_ms = int(speech.sum()) * FRAME_MS
        if passed_ms < LEAST_SPEECH_MS:
            return "silent"
        is_much = passed_ms >= MIN_SPEECH_MS or self._noise_floor.snr_db(self._powers.values[speech]) < NOISE_SNR_DB
        if self._voice is None:
            return "speech" if is_much else "silent"
        if self._voice.hears_voice(speech):
            return "speech"
        return "noise" if is_much else "silent"


class _HopCutter:
    """Cuts blocks of any size into hops of one size, each with the time of its end."""

    def __init__(self, hop_samples: int) -> None:
        self._hop_samples = hop_samples
        self._pending: Samples = np.empty(0, np.int16)

    def push(self, block: Block) -> Iterator[Block]:
        """Append a block and yield the hops that it completes."""
        pending = np.concatenate((self._pending, block.samples))
        while len(pending) >= self._hop_samples:
            hop, pending = pending[: self._hop_samples], pending[self._hop_samples :]
            yield Block(hop, block.end_ms - len(pending) * 1000 // SAMPLE_RATE_HZ)
        self._pending = pending
