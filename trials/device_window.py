"""Time of one window, of our pipeline and of a usual one: `python -m trials.device_window [rounds]`.

Ours does what the device does each second: speech gate, the log-mel frames of the newest hop, the model, smoothing. The
peer does the same with librosa and the TensorFlow interpreter: webrtcvad and a level over the newest hop,
`librosa.feature.melspectrogram` and `power_to_db` over the whole window, the same normalisation, the same model in
`tf.lite.Interpreter` with its weights in eight bits, the same calibration and smoothing.
Nothing of it tells a voice from music, so ours runs without its voice detector there; what that costs while somebody
speaks is a line of its own. Both start from int16 samples in memory and run on one thread of one process. They
alternate window by window, and so does who goes first, so that a busy machine slows both.
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}

import platform
import statistics
import sys
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
import tensorflow as tf
import webrtcvad

import models.bundle
from device.audio.source import Block
from device.inference import voice_detector
from device.inference.noise_floor import FRAME_MS
from device.inference.pipeline import SMOOTHING, windows
from device.inference.speech_gate import VAD_AGGRESSIVENESS
from models import tflite
from models.bundle import Bundle
from models.frontend import LOUD_PERCENTILE, RANGE_DB, Samples
from models.runtime import GOLDEN_TOLERANCE, Classifier, softmax, synthetic_clip
from trials.librosa_front_end import log_mel
from trials.usage import processor

GATE_DBFS = -50.0
FRAME = 480
"""30 ms, as webrtcvad requires."""
WARM_UP = 20


class Peer:
    """The pipeline made of librosa, webrtcvad and TensorFlow."""

    def __init__(self, bundle: Bundle) -> None:
        self._manifest = bundle.manifest
        self._interpreter = tf.lite.Interpreter(model_content=tflite.unpacked(bundle.model), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        self._vad = webrtcvad.Vad(VAD_AGGRESSIVENESS)
        self._samples = np.empty(0, np.int16)
        self._mean: np.ndarray | None = None

    def push(self, hop: Samples) -> np.ndarray | None:
        """Append a hop and return the scores of the window; None before the first window and in silence."""
        self._samples = np.concatenate((self._samples, hop))[-self._manifest.window_samples :]
        frames = hop[: len(hop) // FRAME * FRAME].reshape(-1, FRAME)
        voiced = [self._vad.is_speech(frame.tobytes(), 16_000) for frame in frames]
        level = 10 * np.log10(np.mean(np.square(hop / 32_768)) + 1e-12)
        if len(self._samples) < self._manifest.window_samples or level < GATE_DBFS or not any(voiced):
            return None
        front_end = self._manifest.front_end
        log_mel_db = log_mel(self._samples, front_end).T
        loud = np.percentile(log_mel_db, LOUD_PERCENTILE)
        window = np.maximum(0.0, (log_mel_db - loud) / RANGE_DB + 1).astype(np.float32)[None, :, :, None]
        self._interpreter.set_tensor(self._input["index"], self._quantised(window))
        self._interpreter.invoke()
        logits = self._dequantised(self._interpreter.get_tensor(self._output["index"])[0])
        scores = softmax(logits / self._manifest.temperature)
        self._mean = scores if self._mean is None else SMOOTHING * scores + (1 - SMOOTHING) * self._mean
        return scores

    def _quantised(self, window: np.ndarray) -> np.ndarray:
        if self._input["dtype"] == np.float32:
            return window
        scale, zero = self._input["quantization"]
        limits = np.iinfo(self._input["dtype"])
        quantised: np.ndarray = np.clip(np.rint(window / scale) + zero, limits.min, limits.max)
        return quantised.astype(self._input["dtype"])

    def _dequantised(self, logits: np.ndarray) -> np.ndarray:
        if self._output["dtype"] == np.float32:
            return logits
        scale, zero = self._output["quantization"]
        outputs: np.ndarray = (logits.astype(np.float32) - zero) * scale
        return outputs


class Ours:
    """The device's pipeline, one hop at a time."""

    def __init__(self, bundle: Bundle) -> None:
        self._hops: list[Block] = []
        self._end_ms = 0
        classifier = Classifier(bundle)
        self._hop_ms = bundle.manifest.hop_ms
        self._hops_before = bundle.manifest.window_ms // bundle.manifest.hop_ms - 1
        self._windows = windows(self._blocks(), bundle.manifest, classifier.scores, GATE_DBFS)

    def push(self, hop: Samples) -> np.ndarray | None:
        """Append a hop and return the scores of the window; None before the first window and in silence."""
        self._end_ms += self._hop_ms
        self._hops.append(Block(hop, self._end_ms))
        if self._end_ms <= self._hops_before * self._hop_ms:
            return None
        return next(self._windows).scores

    def _blocks(self) -> Iterator[Block]:
        while True:
            yield self._hops.pop(0)


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    warnings.simplefilter("ignore")  # TensorFlow announces the end of its interpreter
    bundle = models.bundle.load(models.bundle.find(models.bundle.DEFAULT))
    ours, peer = Ours(bundle), Peer(bundle)
    detector = voice_detector.create(bundle.manifest.window_samples)
    voice_detector.create = lambda _samples: None  # type: ignore[assignment] # ours has none from here on
    voice_ms = []
    loud = np.ones(bundle.manifest.window_ms // FRAME_MS, np.bool_)
    wall_ms: dict[str, list[float]] = {"ours": [], "peer": []}
    cpu_ms: dict[str, list[float]] = {"ours": [], "peer": []}
    worst = 0.0
    hop_samples = bundle.manifest.hop_samples
    sound = synthetic_clip(60 * hop_samples + 777)
    for number in range(rounds + WARM_UP):
        hop = np.take(sound, np.arange(number * hop_samples, (number + 1) * hop_samples), mode="wrap")
        scores = {}
        for name, side in (("ours", ours), ("peer", peer)) if number % 2 else (("peer", peer), ("ours", ours)):
            start_s, start_cpu_s = time.perf_counter(), time.process_time()
            scores[name] = side.push(hop)
            if number >= WARM_UP:
                wall_ms[name].append((time.perf_counter() - start_s) * 1000)
                cpu_ms[name].append((time.process_time() - start_cpu_s) * 1000)
        if detector:
            start_cpu_s = time.process_time()
            detector.push(hop)
            detector.hears_voice(loud)
            voice_ms.append((time.process_time() - start_cpu_s) * 1000)
        if scores["ours"] is not None and scores["peer"] is not None:
            worst = max(worst, float(np.abs(scores["ours"] - scores["peer"]).max()))
    _print(wall_ms, cpu_ms, worst, bundle)
    if voice_ms:
        print(f"voice detector    {statistics.median(voice_ms):.2f} ms of processor time a window with speech")


def _print(wall_ms: dict[str, list[float]], cpu_ms: dict[str, list[float]], worst: float, bundle: Bundle) -> None:
    ours, peer, ours_cpu, peer_cpu = (
        statistics.median(durations[name]) for durations in (wall_ms, cpu_ms) for name in ("ours", "peer")
    )
    ratio, ratio_cpu = (_ratio(durations) for durations in (wall_ms, cpu_ms))
    names = ("numpy", "ai-edge-litert", "librosa", "tensorflow", "webrtcvad-wheels")
    print(
        f"ours              {ours:.2f} ms a window, {ours_cpu:.2f} ms of processor time; {len(wall_ms['ours'])} windows"
    )
    print(f"peer              {peer:.2f} ms a window, {peer_cpu:.2f} ms of processor time: librosa and TensorFlow")
    print(f"ratio             {ratio:.3f} (1/{1 / ratio:.1f}), median over the pairs")
    print(f"  processor time  {ratio_cpu:.3f} (1/{1 / ratio_cpu:.1f}), which a busy machine does not distort")
    print(f"share of a core   {ours_cpu / bundle.manifest.hop_ms:.2%} at a hop of {bundle.manifest.hop_ms} ms")
    print(f"largest difference of a score {worst:.5f}")
    used = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"versions          {used}, Python {platform.python_version()}")
    print(f"machine           {processor()}, {os.cpu_count()} cores, one thread each; load {os.getloadavg()[0]:.1f}")
    if worst > GOLDEN_TOLERANCE:  # 8-bit inputs may round the other way, and kernels differ
        raise SystemExit(f"the two give different scores: one differs by {worst}; {GOLDEN_TOLERANCE} is allowed")


def _ratio(durations: dict[str, list[float]]) -> float:
    """Return the median of ours over the peer's."""
    return statistics.median(ours / peer for ours, peer in zip(durations["ours"], durations["peer"], strict=True))


if __name__ == "__main__":
    main()
