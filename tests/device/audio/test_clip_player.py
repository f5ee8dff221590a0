"""Audio files of all common formats are played; others are refused or skipped with a reason."""

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from device.audio import clip_player
from device.audio.source import SourceError
from models.runtime import synthetic_clip

CLIP = synthetic_clip(16_000)
FLOAT = CLIP / 32_768


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_16_khz_mono_of_16_bits_or_more_is_played_sample_by_sample(tmp_path: Path, subtype: str) -> None:
    """Formats that hold the samples exactly are played exactly."""
    soundfile.write(tmp_path / "clip.wav", FLOAT, 16_000, subtype)

    (played,) = clip_player.load(tmp_path / "clip.wav")

    assert played.dtype == np.int16
    np.testing.assert_array_equal(played, CLIP)


def test_8_bit_is_played_as_exactly_as_it_can_be(tmp_path: Path) -> None:
    """An 8-bit file is played to within its own step of 256."""
    soundfile.write(tmp_path / "clip.wav", FLOAT, 16_000, "PCM_U8")

    (played,) = clip_player.load(tmp_path / "clip.wav")

    assert np.abs(played.astype(int) - CLIP).max() <= 256


def test_stereo_is_mixed_and_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two channels become their mean."""
    caplog.set_level(logging.INFO)
    soundfile.write(tmp_path / "clip.wav", np.stack((FLOAT, np.zeros_like(FLOAT)), axis=1), 16_000, "FLOAT")

    (played,) = clip_player.load(tmp_path / "clip.wav")

    np.testing.assert_allclose(played, CLIP / 2, atol=0.5)
    assert "clip.wav: 2 channels, mixed to mono" in caplog.text


def test_44_khz_is_resampled_and_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A tone keeps its pitch and length when its file has another rate."""
    caplog.set_level(logging.INFO)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    soundfile.write(tmp_path / "clip.wav", tone, 44_100)

    (played,) = clip_player.load(tmp_path / "clip.wav")

    expected = 0.5 * 32_768 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert len(played) == 16_000
    np.testing.assert_allclose(played[500:-500], expected[500:-500], atol=50)
    assert "clip.wav: 44100 Hz, resampled to 16000 Hz" in caplog.text


def test_loud_float_is_clipped_not_wrapped(tmp_path: Path) -> None:
    """Samples beyond full scale stay at full scale."""
    soundfile.write(tmp_path / "clip.wav", np.array([2.0, -2.0]), 16_000, "FLOAT")

    (played,) = clip_player.load(tmp_path / "clip.wav")

    assert played.tolist() == [32_767, -32_768]


def test_a_truncated_file_is_played_as_far_as_it_goes_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk may have cut it short."""
    path = tmp_path / "clip.wav"
    soundfile.write(path, CLIP, 16_000)
    path.write_bytes(path.read_bytes()[: 44 + 2 * 4_000])

    (played,) = clip_player.load(path)

    np.testing.assert_array_equal(played, CLIP[:4_000])
    assert "clip.wav is cut short" in caplog.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not audio"),
        (b"this is not audio at all", "is not audio"),
        (b"RIFF\x00\x00\x00\x00WAVE", "is not audio"),
    ],
)
def test_a_file_that_is_not_audio_is_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    """The error for an empty or foreign file names it."""
    path = tmp_path / "clip.wav"
    path.write_bytes(content)

    with pytest.raises(SourceError, match=said) as refused:
        clip_player.load(path)

    assert str(path) in str(refused.value)


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    """A valid header may have nothing behind it."""
    soundfile.write(tmp_path / "clip.wav", np.empty(0, np.int16), 16_000)

    with pytest.raises(SourceError, match="holds no samples"):
        clip_player.load(tmp_path / "clip.wav")


def test_samples_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    """A float file with a NaN would poison every window it touches."""
    soundfile.write(tmp_path / "clip.wav", np.array([0.0, np.nan]), 16_000, "FLOAT")

    with pytest.raises(SourceError, match="not numbers"):
        clip_player.load(tmp_path / "clip.wav")


def test_a_folder_is_played_in_the_order_of_names_and_bad_files_are_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bad file is skipped with a warning; a file with another suffix is ignored."""
    soundfile.write(tmp_path / "b.wav", CLIP[:200], 16_000)
    soundfile.write(tmp_path / "a.flac", CLIP[:100], 16_000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    (tmp_path / "notes.txt").write_text("hello")

    played = clip_player.load(tmp_path)

    assert [len(clip) for clip in played] == [100, 200]
    assert "broken.wav" in caplog.text
    assert "notes.txt" not in caplog.text


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: None])
def test_a_path_without_clips_is_refused(tmp_path: Path, make: object) -> None:
    """The error names the empty folder or missing path."""
    path = tmp_path / "clips"
    make(path)  # type: ignore[operator]

    with pytest.raises(SourceError, match="clips"):
        clip_player.load(path)


def test_clips_are_paced_by_the_clock_and_end(tmp_path: Path) -> None:
    """Half a second of clip and half a second of pause arrive as blocks in order, dated one block apart."""
    soundfile.write(tmp_path / "clip.wav", CLIP[:8_000], 16_000)
    player = clip_player.ClipPlayer(tmp_path / "clip.wav", loop=False)

    blocks = list(iter(player.read, None))

    sound = np.concatenate([block.samples for block in blocks])
    np.testing.assert_array_equal(sound[:8_000], CLIP[:8_000])
    assert len(sound) == 16_000
    assert np.abs(sound[8_000:]).max() > 0, "a pause is never digital silence"
    assert 850 <= blocks[-1].end_ms - blocks[0].end_ms <= 2_000


def test_a_loop_ends_when_it_is_closed(tmp_path: Path) -> None:
    """Closing ends a player that would go on for ever."""
    soundfile.write(tmp_path / "clip.wav", CLIP[:1_600], 16_000)
    player = clip_player.ClipPlayer(tmp_path / "clip.wav", loop=True)
    assert player.read() is not None

    player.close()

    assert player.read() is None
