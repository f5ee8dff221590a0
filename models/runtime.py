"""The one runtime: runs a bundle's model with LiteRT, for training's evaluation, tests and device alike."""

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from models import tflite
from models.bundle import Bundle, BundleError
from models.frontend import Frames, Samples, normalise

Scores = NDArray[np.float64]
"""One probability per label, in the manifest's order; they sum to 1."""

GOLDEN_TOLERANCE = 0.02
"""Largest difference of a score from the golden one. int8 kernels round differently from CPU to CPU."""


class Classifier:
    """Gives the calibrated probabilities of one window.

    Raises:
        BundleError: the file is no TFLite model, or its input or output does not fit the manifest.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        manifest = bundle.manifest
        try:
            Interpreter(model_content=bundle.model)  # refuses what is no model, before it is read here
            self._interpreter = Interpreter(model_content=tflite.unpacked(bundle.model), num_threads=1)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise BundleError(f"{bundle.folder / 'model.tflite'} is not a model LiteRT can run: {error}") from error
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()
        wanted = (1, manifest.window_frames, manifest.front_end.n_mels, 1)
        taken = tuple(self._input["shape"].tolist())
        if taken != wanted:
            raise BundleError(f"{bundle.folder}: the model takes {taken}, its manifest describes {wanted}")
        if tuple(self._output["shape"]) != (1, len(manifest.labels)):
            raise BundleError(
                f"{bundle.folder}: the model gives {self._output['shape'][-1]} scores, "
                f"its manifest names {len(manifest.labels)} labels"
            )

    def scores(self, frames: Frames) -> Scores:
        """Return the probabilities of one window of log-mel frames, shape (window_frames, n_mels), dB."""
        return softmax(self.logits(frames) / self._bundle.manifest.temperature)

    def logits(self, frames: Frames) -> NDArray[np.float64]:
        """Return the model's raw outputs for one window, shape (labels,)."""
        window = normalise(frames)[None, :, :, None]
        self._interpreter.set_tensor(self._input["index"], _quantise(window, self._input))
        self._interpreter.invoke()
        return _dequantise(self._interpreter.get_tensor(self._output["index"])[0], self._output)

    def verify(self) -> None:
        """Run the bundle's golden clip through front end and model.

        Raises:
            BundleError: features or scores are not those that training recorded.
        """
        path = self._bundle.golden_file
        try:
            with np.load(path, allow_pickle=False) as golden:
                clip, features, expected = golden["clip"], golden["features"], golden["scores"]
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(f"{path} cannot be read: {error}") from error
        frames = self._bundle.manifest.front_end.log_mel(clip)
        if frames.shape != features.shape or np.abs(frames - features).max() > 1e-3:
            raise BundleError(f"{path}: this machine's front end gives other features than training recorded")
        difference = float(np.abs(self.scores(frames) - expected).max())
        if difference > GOLDEN_TOLERANCE:
            raise BundleError(
                f"{path}: this machine's scores differ by {difference:.3f} from those that training recorded; "
                f"{GOLDEN_TOLERANCE} is allowed"
            )


def softmax(logits: NDArray[np.float64]) -> Scores:
    """Return probabilities over the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Scores = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def synthetic_clip(samples: int) -> Samples:
    """Return a voice-like clip made from arithmetic alone: the same int16 samples on every machine.

    A gliding harmonic tone in syllables over faint noise. It sounds like no one and serves as golden input.
    """
    time_s = np.arange(samples) / 16_000
    pitch_hz = 140 + 40 * np.sin(2 * np.pi * 0.7 * time_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / 16_000
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    syllables = np.maximum(0.0, np.sin(2 * np.pi * 2.3 * time_s))
    noise = np.random.default_rng(7).uniform(-1.0, 1.0, samples)
    clip: Samples = np.rint(6_000 * syllables * voice + 20 * noise).astype(np.int16)
    return clip


def _quantise(values: NDArray[np.float32], tensor: dict[str, Any]) -> NDArray[Any]:
    if tensor["dtype"] == np.float32:
        return values
    scale, zero_point = tensor["quantization"]
    limits = np.iinfo(tensor["dtype"])
    quantised: NDArray[Any] = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max)
    return quantised.astype(tensor["dtype"])


def _dequantise(values: NDArray[Any], tensor: dict[str, Any]) -> NDArray[np.float64]:
    if tensor["dtype"] == np.float32:
        return values.astype(np.float64)
    scale, zero_point = tensor["quantization"]
    real: NDArray[np.float64] = (values.astype(np.float64) - zero_point) * scale
    return real
