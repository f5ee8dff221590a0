"""What stands beside a clip that is scored: the right noise, at the right level, the same each time."""

import numpy as np
import pytest

from models.runtime import synthetic_clip
from training import backgrounds
from training.backgrounds import BACKGROUNDS, FLOORS, NOISES, Background

WINDOW = 48_000
CLIP = synthetic_clip(20_001)


def rng() -> np.random.Generator:
    """Return a fresh source of chance, seeded alike."""
    return np.random.default_rng(1)


def octave_power(noise: np.ndarray, low_hz: float) -> float:
    """Return the power of the octave above a frequency."""
    power = np.abs(np.fft.rfft(noise)) ** 2
    low = int(low_hz * len(noise) / backgrounds.RATE_HZ)
    return float(power[low : 2 * low].sum())


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_clip_stands_in_the_middle_of_each_background(name: str) -> None:
    """A window is as long as asked, holds the clip in its middle, and is made alike again."""
    background = BACKGROUNDS[name]

    window = backgrounds.centred(CLIP, WINDOW, background, rng())

    before = (WINDOW - len(CLIP)) // 2
    beside = window.copy()
    beside[before : before + len(CLIP)] -= CLIP
    assert window.dtype == np.int16
    assert len(window) == WINDOW
    np.testing.assert_array_equal(window, backgrounds.centred(CLIP, WINDOW, background, rng()))
    assert beside[before : before + len(CLIP)].any() == background.under
    assert beside[:before].any() == beside[-before:].any() == (name != "silence")


def test_a_clip_longer_than_the_window_gives_its_middle() -> None:
    """Of a long clip the middle is heard."""
    clip = np.arange(10, dtype=np.int16)

    assert backgrounds.centred(clip, 4, BACKGROUNDS["silence"], rng()).tolist() == [3, 4, 5, 6]


@pytest.mark.parametrize("name", ["pink", "hum"])
def test_backgrounds_under_the_clip_have_the_stated_snr(name: str) -> None:
    """The power of a background that lies under the clip is 30 dB below the clip's."""
    noise = BACKGROUNDS[name].make(CLIP, 160_000, rng())

    assert 20 * np.log10(CLIP.std() / noise.std()) == pytest.approx(backgrounds.SNR_DB, abs=0.1)


@pytest.mark.parametrize("name", [name for name in NOISES if not name.startswith("echo")])
def test_noises_have_the_snr_of_their_name(name: str) -> None:
    """The power of a noise is as far below the clip's as its name says."""
    noise = NOISES[name].make(CLIP, 160_000, rng())

    assert 20 * np.log10(CLIP.std() / noise.std()) == pytest.approx(int(name.split("-")[1]), abs=0.1)


def test_speech_shaped_noise_has_the_colour_of_the_clip() -> None:
    """Its octaves are to each other as the clip's are."""
    noise = backgrounds.speech_shaped(CLIP, len(CLIP), rng())

    for low_hz in (200, 800):
        ratio = octave_power(noise, low_hz) / octave_power(noise, 2 * low_hz)
        assert ratio == pytest.approx(octave_power(CLIP, low_hz) / octave_power(CLIP, 2 * low_hz), rel=0.3)


def test_babble_is_several_voices_at_the_stated_level() -> None:
    """Between four and eight of the voices are in it, each sample as they are, and as loud as asked together."""
    rng_of_voices = np.random.default_rng(5)
    voices = [np.rint(rng_of_voices.normal(0, 500 * (1 + number), 40_000)).astype(np.int16) for number in range(10)]

    sound = backgrounds.babble(CLIP, 40_000, rng(), 10, voices)

    assert 20 * np.log10(CLIP.std() / sound.std()) == pytest.approx(10, abs=0.1)
    spectrum = np.fft.rfft(sound)
    like = [np.abs(np.fft.irfft(spectrum * np.fft.rfft(voice).conj())).max() / voice.std() for voice in voices]
    assert 4 <= sum(value > 0.5 * max(like) for value in like) <= 8


def test_music_has_tones_and_the_stated_level() -> None:
    """Its power lies in few frequencies, as that of no noise does, and each piece is another."""
    sound = backgrounds.music(CLIP, 320_000, rng(), 10)

    assert 20 * np.log10(CLIP.std() / sound.std()) == pytest.approx(10, abs=0.1)
    power = np.sort(np.abs(np.fft.rfft(sound[:160_000])) ** 2)[::-1]
    assert power[: len(power) // 50].sum() > 0.8 * power.sum()
    assert np.abs(np.corrcoef(sound[:160_000], sound[160_000:])[0, 1]) < 0.2


def test_echo_sounds_on_after_the_clip_falls_silent() -> None:
    """A click is followed by an echo that falls by 60 dB in the stated time, and half of the power is direct."""
    click = np.zeros(16_000, np.int16)
    click[100] = 30_000

    heard = backgrounds.echoing(click, 0.5, rng()).astype(float)

    assert not heard[:100].any()
    assert heard[100] == pytest.approx(30_000 / np.sqrt(2), rel=0.1)
    echo = heard[101:]
    assert (echo**2).sum() == pytest.approx(heard[100] ** 2, rel=0.2)
    early, late = (echo[start : start + 800] ** 2 for start in (0, 4_000))
    assert 10 * np.log10(early.mean() / late.mean()) == pytest.approx(30, abs=2)


def test_pink_noise_has_as_much_power_in_each_octave() -> None:
    """The octave above 200 Hz is as loud as that above 3.2 kHz."""
    noise = backgrounds.pink(CLIP, 160_000, rng())

    assert octave_power(noise, 200) == pytest.approx(octave_power(noise, 3_200), rel=0.2)


def test_own_background_has_the_level_and_colour_of_the_clips_quiet_parts() -> None:
    """Noise made from a clip is as loud as the clip's quietest parts, in low and high frequencies alike."""
    hiss = np.convolve(rng().normal(0, 100, 64_001), [0.5, 0.5], "valid")
    voice = np.where(np.arange(64_000) % 16_000 < 8_000, 5_000 * np.sin(np.arange(64_000) / 5), 0)
    clip = np.rint(hiss + voice).astype(np.int16)

    noise, level = backgrounds.own(clip, 64_000, rng()), backgrounds.white(clip, 64_000, rng())

    for low_hz in (200, 3_200):
        assert octave_power(noise, low_hz) == pytest.approx(octave_power(hiss, low_hz), rel=0.25)
    assert level.std() == pytest.approx(hiss.std(), rel=0.1)


def test_background_of_silence_is_silence() -> None:
    """A clip without any sound has no background to imitate."""
    assert not backgrounds.own(np.zeros(8_000, np.int16), 1_000, rng()).any()


def test_faint_noise_is_as_loud_as_its_title_says() -> None:
    """White noise at -72 dBFS."""
    background: Background = BACKGROUNDS["faint"]

    noise = background.make(CLIP, 160_000, rng())

    assert background.title == "white noise at -72 dBFS"
    assert 20 * np.log10(noise.std() / 32_768) == pytest.approx(-72, abs=0.5)


@pytest.mark.parametrize("name", [name for name in FLOORS if name != "silence"])
def test_a_floor_is_as_loud_as_its_title_says_whatever_the_clip(name: str) -> None:
    """Pink noise with the level that it is named after, under a loud clip and under a soft one."""
    for clip in (CLIP, CLIP // 100):
        noise = FLOORS[name].make(clip, 160_000, rng())

        assert FLOORS[name].title == f"pink noise at {name} dBFS"
        assert 20 * np.log10(noise.std() / 32_768) == pytest.approx(float(name), abs=0.1)
