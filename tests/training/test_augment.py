"""Augmentation changes what it should, by as much as it should."""

import numpy as np
import pytest

from models.frontend import FrontEnd
from models.runtime import synthetic_clip
from training import augment, features
from training.augment import Noise
from training.recipe import Augment

FRAMES = FrontEnd().log_mel(synthetic_clip(48_000))
FRAMES[100:] = -100
WINDOWS = np.stack([FRAMES] * 400)
PADDING = np.tile(np.arange(147) >= 100, (400, 1))
"""Windows with 100 frames of a clip, and digital silence behind it."""
HISS = features.hiss(FrontEnd())


@pytest.mark.parametrize("under_share", [0.0, 1.0], ids=["only beside the clip", "under it too"])
def test_background_has_the_wanted_snr(under_share: float) -> None:
    """At 10 dB, the noise has a tenth of the clip's power, and it lies where it should."""
    chosen = Augment(background_share=1, under_share=under_share, snr_db=(10, 10))

    noisy = augment.distort(WINDOWS[:1], PADDING[:1], chosen, HISS, np.random.default_rng(1))

    added = (10 ** (noisy / 10).astype(float) - 10 ** (WINDOWS[:1] / 10).astype(float))[0]
    clip_power = (10 ** (FRAMES[:100] / 10).astype(float)).mean()
    assert added[100:].mean() / clip_power == pytest.approx(0.1, rel=0.05)
    assert added[:100].mean() / clip_power == pytest.approx(0.1 * under_share, rel=0.05, abs=1e-5)


def test_noise_has_the_wanted_power_and_colour() -> None:
    """Steady noise has its mean power over all bands, and the wanted slope from the lowest to the highest."""
    colour_db = np.stack([np.linspace(-5, 5, 64), np.zeros(64)])

    wanted = Noise(np.array([4.0, 1.0]), colour_db, np.ones(2))
    noise, flat = augment.steady_noise(wanted, HISS, 4_000, np.random.default_rng(1))

    assert noise.mean() == pytest.approx(4, rel=0.02)
    assert 10 * np.log10(noise[:, -1].mean() / noise[:, 0].mean()) == pytest.approx(10, abs=0.3)
    assert flat.mean() == pytest.approx(1, rel=0.02)


def test_noise_flickers_as_that_of_a_microphone() -> None:
    """In every band it varies, and changes, by as much as white noise that goes through the front end."""
    samples = np.rint(np.random.default_rng(2).normal(0, 50, 640_000)).astype(np.int16)
    heard = 10 ** (FrontEnd().log_mel(samples) / 10)

    wanted = Noise(np.ones(1), np.zeros((1, 64)), np.ones(1))
    (noise,) = augment.steady_noise(wanted, HISS, 2_000, np.random.default_rng(1))

    for made in (lambda frames: frames, lambda frames: np.diff(frames, axis=0)):
        np.testing.assert_allclose(
            made(noise).std(axis=0) / noise.mean(axis=0), made(heard).std(axis=0) / heard.mean(axis=0), rtol=0.15
        )


def test_tones_do_not_flicker() -> None:
    """Noise without any flicker has the same power in all frames."""
    wanted = Noise(np.ones(1), np.zeros((1, 64)), np.zeros(1))
    (tone,) = augment.steady_noise(wanted, HISS, 50, np.random.default_rng(1))

    np.testing.assert_allclose(tone, 1)


def test_rumble_lies_in_the_lowest_bands() -> None:
    """Its power in the upper half is less than a hundredth of that in the lowest bands, and no two are alike."""
    rumble = 10 ** (augment.rumble_db(100, 64, np.random.default_rng(1)) / 10)

    assert (rumble[:, 40:].mean(axis=1) < 0.1 * rumble[:, :2].mean(axis=1)).mean() > 0.9
    assert len(np.unique(rumble[:, 0])) == 100


@pytest.mark.parametrize("shaped_share", [0.0, 0.5, 1.0])
def test_shaped_noise_has_the_wanted_snr_too(shaped_share: float) -> None:
    """Whatever its shape, noise at 10 dB has a tenth of the clip's power; the rest has the wanted slope."""
    chosen = Augment(background_share=1, snr_db=(10, 10), slope_db=(10, 10), shaped_share=shaped_share)

    noisy = augment.distort(WINDOWS, PADDING, chosen, HISS, np.random.default_rng(1))

    added = 10 ** (noisy[:, 100:].astype(float) / 10)
    clip_power = (10 ** (FRAMES[:100] / 10).astype(float)).mean()
    assert added.mean() / clip_power == pytest.approx(0.1, rel=0.05)
    slope = 10 * np.log10(added[:, :, -1].mean(axis=1) / added[:, :, 0].mean(axis=1))
    assert np.mean(np.abs(slope - 10) < 3) == pytest.approx(1 - shaped_share, abs=0.12)


def test_style_moves_from_clip_to_clip() -> None:
    """Each band takes the mean and the deviation of another clip, wholly or in part, and no clip becomes louder."""
    clip = np.maximum(FRAMES, FRAMES.max() - 30)
    windows = np.stack([clip, 0.5 * clip - np.linspace(0, 20, 64, dtype=np.float32)] * 100)
    windows[:, 100:] = -100

    styled = augment.restyle(windows, PADDING[:200], 1.0, np.random.default_rng(1))

    np.testing.assert_array_equal(styled[:, 100:], windows[:, 100:])
    level, before = styled[:, :100].mean(axis=(1, 2)), windows[:, :100].mean(axis=(1, 2))
    np.testing.assert_allclose(level, before, atol=1e-3)
    slope = (styled[:, :100, -1] - styled[:, :100, 0]).mean(axis=1)
    deviation = styled[:, :100, 5].std(axis=1)
    for kind in (0, 1):
        assert np.ptp(slope[kind::2]) == pytest.approx(20, abs=6)
        assert deviation[kind::2].max() > 1.5 * deviation[kind::2].min()


def test_silence_beside_the_clip_stays_where_no_background_is_wanted() -> None:
    """Only the wanted share of windows gets a background."""
    noisy = augment.distort(WINDOWS, PADDING, Augment(background_share=0.25), HISS, np.random.default_rng(1))

    silent = (noisy[:, 100:] < -99.9).all(axis=(1, 2))
    assert np.mean(silent) == pytest.approx(0.75, abs=0.06)


def test_nothing_is_done_by_default() -> None:
    """A recipe that asks for no augmentation gets the window as it is."""
    rng = np.random.default_rng(1)

    np.testing.assert_allclose(augment.distort(WINDOWS[:2], PADDING[:2], Augment(), HISS, rng), WINDOWS[:2], atol=1e-4)
    np.testing.assert_array_equal(augment.mask(WINDOWS[:2], Augment(), rng), WINDOWS[:2])


def test_tilt_turns_around_the_middle_band() -> None:
    """A tilted window is louder at one end of the spectrum by what it is quieter at the other."""
    tilted = augment.distort(WINDOWS[:1], PADDING[:1], Augment(tilt_db=6), HISS, np.random.default_rng(1))[0] - FRAMES

    assert tilted[0, 0] == pytest.approx(-tilted[0, -1], abs=1e-4)
    assert 0 < abs(tilted[0, 0]) <= 3


def test_masks_are_no_wider_than_asked() -> None:
    """At most so many frames and bands are set to silence, other ones in each window."""
    chosen = Augment(time_masks=2, time_mask_frames=10, mel_masks=1, mel_mask_bands=6)

    masked = augment.mask(np.ones((50, 147, 64), np.float32), chosen, np.random.default_rng(1)) == 0

    frames, bands = masked.all(axis=2).sum(axis=1), masked.all(axis=1).sum(axis=1)
    assert frames.max() <= 20
    assert bands.max() <= 6
    assert len(np.unique(frames)) > 5


def test_mixup_blends_windows_and_truth_alike() -> None:
    """A blend of two windows has the same blend of their truths, and more of the first than of the second."""
    windows = np.arange(8, dtype=np.float32)[:, None, None] * np.ones((1, 5, 4), np.float32)

    blended, truth = augment.mixup((windows, np.eye(8, dtype=np.float32)), 0.3, np.random.default_rng(1))

    np.testing.assert_allclose(truth.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(blended[:, 0, 0], truth @ np.arange(8), rtol=1e-5)
    assert (truth.diagonal() >= 0.5).all()


def test_clips_of_two_studios_look_alike_without_their_floor() -> None:
    """The same clip above a floor and in silence gives nearly the same window once the floor is taken away."""
    speech = synthetic_clip(40_000).astype(np.float64)
    hiss = np.random.default_rng(3).normal(0, 0.02 * np.abs(speech).max(), 40_000)
    front_end = FrontEnd()
    quiet, noisy = (front_end.log_mel(np.rint(sound).astype(np.int16)) for sound in (speech, speech + hiss))
    windows, padding = np.stack([quiet, noisy]), np.zeros((2, len(quiet)), bool)

    without = augment.without_floor(windows, padding, HISS)

    before, after = (np.abs(np.subtract(*features.normalised(pair)[..., 0])).mean() for pair in (windows, without))
    assert after < before / 3


def test_floor_of_silence_is_silence() -> None:
    """A clip with digital silence in its pauses is left as it is, down to what no window shows."""
    windows = np.stack([FRAMES])

    without = augment.without_floor(windows, np.zeros((1, 147), bool), HISS)

    np.testing.assert_allclose(np.maximum(without, -80), np.maximum(windows, -80), atol=0.1)


def test_cuts_spare_the_middle_band() -> None:
    """A microphone that passes only a band leaves 450 Hz to 2 kHz alone, and softens what lies beyond its edges."""
    response = augment.cuts_db(500, 64, np.random.default_rng(1))

    assert (response <= 0).all()
    assert (response[:, 8:40] == 0).all()
    assert response[:, 0].mean() < -10
    assert response[:, -1].mean() < -10
