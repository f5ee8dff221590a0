"""Audio files are read block by block, with the same result as at once; what cannot be read is refused."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from wav_files import wav

from common import audio_files
from common.audio_files import AudioFile, AudioFileError
from models.runtime import synthetic_clip


def at_once(path: Path) -> np.ndarray:
    """Return a file as 16 kHz mono, read and resampled as a whole."""
    sound, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(sound.mean(axis=1), rate_hz, 16_000)
    whole: np.ndarray = np.clip(np.rint(mono * 32_768), -32_768, 32_767).astype(np.int16)
    return whole


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 12_345])
@pytest.mark.parametrize("count", [1, 1_000, 50_001])
def test_blocks_give_the_same_samples_as_the_whole(tmp_path: Path, rate_hz: int, count: int) -> None:
    """Streamed resampling has the length of the whole file's, and its samples to within rounding."""
    soundfile.write(tmp_path / "clip.flac", synthetic_clip(count), rate_hz)

    with AudioFile(tmp_path / "clip.flac") as file:
        read = file.read(16_000)

    expected = at_once(tmp_path / "clip.flac")
    assert len(read) == len(expected)
    np.testing.assert_allclose(read, expected, atol=1)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_samples_of_16_bits_are_read_exactly(tmp_path: Path, subtype: str) -> None:
    """Whatever the format, full scale is the same: libsndfile reads floats as integers without scaling them."""
    sound = synthetic_clip(16_000)
    soundfile.write(tmp_path / "clip.wav", sound / 32_768, 16_000, subtype)

    with AudioFile(tmp_path / "clip.wav") as file:
        np.testing.assert_array_equal(file.read(16_000), sound)


@pytest.mark.parametrize("name", ["cut.wav", "cut.flac", "cut.aiff", "cut.mp3"])
def test_a_truncated_file_is_called_faulty(tmp_path: Path, name: str) -> None:
    """Half a file gives about half the sound, and says that something is missing."""
    path = tmp_path / name
    soundfile.write(path, synthetic_clip(160_000), 16_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with AudioFile(path) as file:
        length = sum(map(len, file.mono(16_000, None)))
        assert 70_000 < length < 85_000
        assert "cut short" in file.fault

    with AudioFile(path) as file, pytest.raises(AudioFileError, match=f"{name}' is .*cut short"):
        file.read(16_000)


def test_a_file_that_is_read_whole_may_not_be_endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The length in the header is refused before memory is asked for, another one on the way."""
    monkeypatch.setattr(audio_files, "LONGEST_S", 1)
    soundfile.write(tmp_path / "clip.wav", synthetic_clip(32_000), 16_000)

    with AudioFile(tmp_path / "clip.wav") as file, pytest.raises(AudioFileError, match="is 2 s long; cut it"):
        file.read(16_000)


def test_channels_that_cancel_each_other_out_are_refused(tmp_path: Path) -> None:
    """What is read whole is learned or measured: its mean must hold what its channels hold."""
    sound = synthetic_clip(16_000)
    soundfile.write(tmp_path / "clip.wav", np.stack((sound, -sound), axis=1), 16_000)

    with AudioFile(tmp_path / "clip.wav") as file, pytest.raises(AudioFileError, match="two channels out of phase"):
        file.read(16_000)


def test_a_folder_lists_its_audio_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    """Files by name; entries that look like audio or are folders get a sentence, others none."""
    for name in ("b.WAV", "a.mp3", "._a.mp3"):
        (tmp_path / name).write_bytes(wav(synthetic_clip(10)))
    (tmp_path / "notes.txt").touch()
    (tmp_path / "__MACOSX").mkdir()

    listing = audio_files.list_folder(tmp_path)

    assert [file.name for file in listing.files] == ["a.mp3", "b.WAV"]
    assert listing.skipped == [
        f"'{tmp_path}/._a.mp3' is hidden",
        f"'{tmp_path}/__MACOSX' is a folder; name it itself to read its files",
    ]
