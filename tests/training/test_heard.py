"""The features of published systems have their published shapes."""

import numpy as np
import pytest

from models.runtime import synthetic_clip
from training.heard import Averages, Features, Mfcc, Picture, Spectra, rendered

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("heard", "shape"),
    [(Averages(), (162,)), (Mfcc(), (128, 40)), (Spectra(), (512, 90, 3)), (Picture(), (64, 118, 1))],
)
@pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")  # as published: 512 bands of 512 bins
@pytest.mark.parametrize("seconds", [1, 5])
def test_shape_is_that_of_the_publication(heard: Features, shape: tuple[int, ...], seconds: int) -> None:
    """A short recording and a long one give the same number of finite values, which follow the sound."""
    values = heard.of(heard.load(synthetic_clip(seconds * 16_000)))

    assert values.shape == heard.shape == shape
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert not np.allclose(values, heard.of(heard.load(synthetic_clip(seconds * 16_000)) * 0.1 + 0.001))


def test_averages_are_in_their_published_order() -> None:
    """Zero crossings come first, then 12 chroma, 20 MFCC, RMS and 128 mel bands."""
    librosa = pytest.importorskip("librosa")
    heard = Averages(offset_s=0, duration_s=9)
    samples = heard.load(synthetic_clip(32_000))

    values = heard.of(samples)

    assert values[0] == pytest.approx(librosa.feature.zero_crossing_rate(samples).mean(), abs=1e-6)
    assert values[1:13] == pytest.approx(librosa.feature.chroma_stft(y=samples, sr=22_050).mean(axis=1), abs=0.3)
    assert values[13:33] == pytest.approx(librosa.feature.mfcc(y=samples, sr=22_050).mean(axis=1), abs=1e-3)
    assert values[33] == pytest.approx(librosa.feature.rms(y=samples).mean(), abs=1e-6)
    mel = librosa.feature.melspectrogram(y=samples, sr=22_050).mean(axis=1)
    assert values[34:] == pytest.approx(mel, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("kind", "slower"), [("noise", 1.0), ("stretch-pitch", 1.25)])
def test_a_copy_is_altered(kind: str, slower: float) -> None:
    """Noise keeps the length, a stretch to 0.8 makes it longer by a quarter."""
    samples = Averages().load(synthetic_clip(16_000))

    copy = rendered(samples, kind, 22_050, np.random.default_rng(1))

    assert len(copy) == pytest.approx(slower * len(samples), rel=0.01)
    assert not np.array_equal(copy[: len(samples)], samples)
