"""The front end: equal to librosa, and the same whether samples come at once or in blocks."""

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.frontend import LOUD_PERCENTILE, FrontEnd, LogMelStream, mel_filters, normalise
from models.runtime import synthetic_clip

CLIP = synthetic_clip(20_000)
FRAMES = FrontEnd().log_mel(CLIP)


@pytest.mark.slow
@pytest.mark.parametrize(
    "front_end", [FrontEnd(), FrontEnd(n_fft=512, hop_length=160, n_mels=40, f_min_hz=0, f_max_hz=8_000)]
)
def test_log_mel_equals_librosa(front_end: FrontEnd) -> None:
    """Every frame equals librosa's to 1e-4 dB."""
    energy = librosa.feature.melspectrogram(
        y=CLIP / 32_768,
        sr=front_end.sample_rate_hz,
        n_fft=front_end.n_fft,
        hop_length=front_end.hop_length,
        n_mels=front_end.n_mels,
        fmin=front_end.f_min_hz,
        fmax=front_end.f_max_hz,
        center=False,
    )
    expected = librosa.power_to_db(energy, ref=1.0, amin=front_end.floor, top_db=None).T

    found = front_end.log_mel(CLIP)

    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4


def test_mel_filters_equal_librosa() -> None:
    """The mel filters are librosa's default ones."""
    expected = librosa.filters.mel(sr=16_000, n_fft=1024, n_mels=64, fmin=50, fmax=7_600, dtype=np.float64)

    assert np.abs(mel_filters(16_000, 1024, 64, 50, 7_600) - expected).max() < 1e-12


@pytest.mark.parametrize("n_fft", [128, 256, 1024])
def test_bands_are_the_product_with_the_filters(n_fft: int) -> None:
    """Products of few filters give what one of all gives; a filter that lies between two bins gives zero."""
    front_end = FrontEnd(n_fft=n_fft, hop_length=160)
    filters = mel_filters(16_000, n_fft, front_end.n_mels, front_end.f_min_hz, front_end.f_max_hz)
    spectra = np.fft.rfft(np.random.default_rng(0).uniform(-1, 1, (7, n_fft)))
    expected = np.abs(spectra) ** 2 @ filters.T
    energy = np.empty((7, front_end.n_mels))

    front_end._bands.sum(spectra, energy)

    np.testing.assert_allclose(energy, expected, rtol=1e-12)
    assert (~filters.any(axis=1)).any() == (n_fft == 128), "only the smallest has such filters"


@given(st.lists(st.integers(0, 5_000), max_size=12))
def test_stream_gives_the_same_frames_for_all_block_sizes(sizes: list[int]) -> None:
    """Samples pushed in blocks of any size give the frames that they give at once, but for rounding."""
    stream = LogMelStream(FrontEnd())
    cuts = np.cumsum(sizes)

    pushed = [stream.push(block) for block in np.split(CLIP, cuts[cuts < len(CLIP)])]

    np.testing.assert_allclose(np.concatenate(pushed), FRAMES, rtol=1e-6)


@given(st.integers(0, 6_000))
def test_frame_count_is_that_of_the_frames(samples: int) -> None:
    """`frames_in` tells how many frames `log_mel` gives."""
    front_end = FrontEnd()

    assert len(front_end.log_mel(CLIP[:samples])) == front_end.frames_in(samples)


def test_digital_silence_is_the_floor() -> None:
    """Silence is -100 dB in every band but for the last bit, not minus infinity."""
    np.testing.assert_allclose(FrontEnd().log_mel(np.zeros(2_000, np.int16)), -100, rtol=1e-6)


def test_normalised_window_does_not_tell_how_loud_it_was() -> None:
    """A normalised window is the same at every level, and reaches from 0 to a little above 1."""
    window = normalise(FRAMES)

    np.testing.assert_allclose(normalise(FRAMES + 12), window, atol=1e-4)
    assert window.min() == 0
    assert np.percentile(window, LOUD_PERCENTILE) == pytest.approx(1)


@pytest.mark.parametrize("level", [-100, -70, -60], ids=lambda level: f"{level} dB")
def test_a_quiet_background_is_not_heard(level: float) -> None:
    """Whatever lies further below a window's loud part than `RANGE_DB` looks like digital silence."""
    speech = np.full((147, 64), -10, np.float32)
    silent, quiet = speech.copy(), speech.copy()
    silent[:50], quiet[:50] = -100, level

    np.testing.assert_array_equal(normalise(quiet), normalise(silent))


def test_normalised_silence_is_zero() -> None:
    """A window without variation gives zeros and no division by zero."""
    assert (normalise(np.full((147, 64), -100, np.float32)) == 0).all()
