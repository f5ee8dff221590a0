"""Audio files of all common formats are played from their beginning on; others are refused or skipped with a reason."""

import logging
import os
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from wav_files import wav

from device.audio.clip_player import ClipPlayer
from device.audio.source import SourceError
from models.frontend import Samples
from models.runtime import synthetic_clip

CLIP = synthetic_clip(16_000)
FLOAT = CLIP / 32_768
SHORT = CLIP[4_000:7_200]
NOBODY = 65_534
"""User and group id of Linux's `nobody`."""


def play(path: Path, seconds: float, **options: int | bool) -> Samples:
    """Return what is played within some seconds."""
    player = ClipPlayer(path, **{"loop": False, **options})  # type: ignore[arg-type]
    return np.concatenate([player.read().samples for _ in range(round(seconds * 10))])  # type: ignore[union-attr]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_16_khz_mono_of_16_bits_or_more_is_played_sample_by_sample(tmp_path: Path, subtype: str) -> None:
    """Formats that hold the samples exactly are played exactly."""
    soundfile.write(tmp_path / "clip.wav", SHORT / 32_768, 16_000, subtype)

    played = play(tmp_path / "clip.wav", 0.2)

    assert played.dtype == np.int16
    np.testing.assert_array_equal(played, SHORT)


def test_8_bit_is_played_as_exactly_as_it_can_be(tmp_path: Path) -> None:
    """An 8-bit file is played to within its own step of 256."""
    soundfile.write(tmp_path / "clip.wav", SHORT / 32_768, 16_000, "PCM_U8")

    assert np.abs(play(tmp_path / "clip.wav", 0.2).astype(int) - SHORT).max() <= 256


def test_stereo_is_mixed_and_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two channels become their mean."""
    caplog.set_level(logging.INFO)
    both = np.stack((SHORT / 32_768, np.zeros(len(SHORT))), axis=1)
    soundfile.write(tmp_path / "clip.wav", both, 16_000, "FLOAT")

    np.testing.assert_allclose(play(tmp_path / "clip.wav", 0.2), SHORT / 2, atol=0.5)
    assert "clip.wav': 2 channels, mixed to mono" in caplog.text


def test_one_channel_is_played_if_the_setting_names_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The setting takes one channel instead of the mean."""
    caplog.set_level(logging.INFO)
    soundfile.write(tmp_path / "clip.wav", np.stack((np.zeros_like(SHORT), SHORT, -SHORT), axis=1), 16_000)

    np.testing.assert_array_equal(play(tmp_path / "clip.wav", 0.2, channel=2), SHORT)
    assert "clip.wav': 3 channels, channel 2 played" in caplog.text


def test_a_channel_that_a_file_does_not_have_is_refused(tmp_path: Path) -> None:
    """The sentence names the file, its channels and what to set."""
    soundfile.write(tmp_path / "clip.wav", np.stack((SHORT, SHORT), axis=1), 16_000)

    with pytest.raises(SourceError, match="has 2 channels and no channel 3; set channel to 1 to 2"):
        ClipPlayer(tmp_path / "clip.wav", channel=3, loop=False)


@pytest.mark.slow
def test_channels_out_of_phase_are_noticed_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A mean that is silence although both channels are loud is told with what to do, in a loop too."""
    soundfile.write(tmp_path / "clip.wav", np.stack((CLIP[:8_000], -CLIP[:8_000]), axis=1), 16_000)

    play(tmp_path / "clip.wav", 2.1, loop=True)

    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    assert "clip.wav' has two channels out of phase" in told[0]
    assert told[0].endswith("set channel = 1")


def test_44_khz_is_resampled_and_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A tone keeps its pitch and its length when its file has another rate."""
    caplog.set_level(logging.INFO)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    soundfile.write(tmp_path / "clip.wav", tone, 44_100)

    played = play(tmp_path / "clip.wav", 1.1)

    expected = 0.5 * 32_768 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(played[500:15_500], expected[500:-500], atol=50)
    assert np.abs(played[16_000:]).max() < 100, "the pause"
    assert "clip.wav': 44100 Hz, resampled to 16000 Hz" in caplog.text


def test_a_long_file_plays_at_once_and_in_little_memory(tmp_path: Path) -> None:
    """Ten minutes at 48 kHz take no more memory than one: only the current block is held."""
    with soundfile.SoundFile(tmp_path / "long.flac", "w", 48_000, 2) as file:
        for _ in range(60):
            file.write(np.zeros((480_000, 2), np.int16))
    tracemalloc.start()
    try:
        ClipPlayer(tmp_path / "long.flac", loop=False).read()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 4_000_000


def test_loud_float_is_clipped_not_wrapped(tmp_path: Path) -> None:
    """Samples beyond full scale stay at full scale."""
    soundfile.write(tmp_path / "clip.wav", np.array([2.0, -2.0]), 16_000, "FLOAT")

    assert play(tmp_path / "clip.wav", 0.1)[:2].tolist() == [32_767, -32_768]


@pytest.mark.parametrize(
    ("whole", "data"),
    [
        (0, 0),
        (36, 0),
        (0xFFFF_FFFF, 0xFFFF_FFFF),
        (0x7FFF_F024, 0x7FFF_F000),
        (0x8000_0024, 0x8000_0000),
    ],
    ids=["GStreamer", "killed", "ffmpeg", "sox, espeak", "arecord"],
)
def test_a_file_that_was_written_into_a_pipe_is_played_whole(
    tmp_path: Path, whole: int, data: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Sizes that its writer did not know are no reason to play nothing, or to call it cut short."""
    (tmp_path / "clip.wav").write_bytes(wav(SHORT, whole=whole, data=data))

    player = ClipPlayer(tmp_path / "clip.wav", loop=False)
    played = np.concatenate([block.samples for block in iter(player.read, None)])

    np.testing.assert_array_equal(played[: len(SHORT)], SHORT)
    assert not caplog.text


def test_a_truncated_file_is_played_as_far_as_it_goes_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk may have cut it short."""
    (tmp_path / "clip.wav").write_bytes(wav(CLIP)[: 44 + 2 * 3_200])

    player = ClipPlayer(tmp_path / "clip.wav", loop=False)
    played = np.concatenate([block.samples for block in iter(player.read, None)])

    np.testing.assert_array_equal(played[:3_200], CLIP[:3_200])
    assert len(played) == 3_200 + 8_000
    assert "clip.wav' is cut short" in caplog.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"this is not audio at all", "is not audio"),
        (b"RIFF\x00\x00\x00\x00WAVE", "is not audio"),
        (wav(SHORT[:0]), "holds no samples"),
        (wav(SHORT, rate_hz=1), "has a sample rate of 1 Hz by its header; convert it to 16000 Hz"),
        (wav(SHORT, rate_hz=0x7FFF_FFFF), "has a sample rate of 2147483647 Hz"),
        (wav(SHORT, channels=1_024), "has 1024 channels by its header; mix it down to 1"),
    ],
    ids=["empty", "text", "no chunks", "no samples", "1 Hz", "2 GHz", "1024 channels"],
)
def test_a_file_that_cannot_be_played_is_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    """The sentence names the file and the value, and no memory is asked for."""
    path = tmp_path / "clip.wav"
    path.write_bytes(content)

    with pytest.raises(SourceError, match=said) as refused:
        ClipPlayer(path, loop=False)

    assert str(path) in str(refused.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_samples_that_are_not_numbers_are_refused(tmp_path: Path, value: float) -> None:
    """A float file with a NaN would poison every window it touches."""
    soundfile.write(tmp_path / "clip.wav", np.array([0.0, value]), 16_000, "FLOAT")

    with pytest.raises(SourceError, match="not numbers"):
        ClipPlayer(tmp_path / "clip.wav", loop=False)


@pytest.mark.slow
def test_a_folder_is_played_in_the_order_of_names_and_bad_files_are_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bad file is skipped with a warning, said once in a loop; a file with another suffix is ignored."""
    soundfile.write(tmp_path / "b.wav", CLIP[:200], 16_000)
    soundfile.write(tmp_path / "a.flac", CLIP[:100], 16_000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    (tmp_path / "notes.txt").write_text("hello")

    played = play(tmp_path, 1.6, loop=True)

    np.testing.assert_array_equal(played[:100], CLIP[:100])
    np.testing.assert_array_equal(played[8_100:8_300], CLIP[:200])
    np.testing.assert_array_equal(played[16_300:16_400], CLIP[:100])
    assert caplog.text.count("broken.wav") == 1
    assert "notes.txt" not in caplog.text


ODD = {
    "pipe.wav": os.mkfifo,
    "device.wav": lambda path: path.symlink_to("/dev/zero"),
    "folder.wav": lambda path: path.mkdir(),
    "._apple.wav": lambda path: path.write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X"),
    "__MACOSX": lambda path: path.mkdir(),
    ".stfolder": lambda path: path.mkdir(),
    ".hidden.wav": lambda path: soundfile.write(path, CLIP, 16_000),
    "broken.wav": lambda path: path.symlink_to("nowhere.wav"),
    "loop.wav": lambda path: path.symlink_to("loop.wav"),
    "empty.wav": lambda path: path.touch(),
    os.fsdecode(b"caf\xe9.wav"): lambda path: Path(path).write_bytes(b"RIFF"),
    "newline\n.wav": lambda path: path.write_bytes(b"RIFF"),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_an_odd_entry_of_a_folder_is_skipped_with_a_sentence(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever lies in the folder harms no neighbour, and nothing waits for a pipe or reads a device."""
    soundfile.write(tmp_path / "zzz.wav", SHORT, 16_000)
    ODD[name](tmp_path / name)

    np.testing.assert_array_equal(play(tmp_path, 0.2), SHORT)

    (told,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert told.startswith("skipped: ")
    assert "\n" not in told
    assert os.fsencode(name).decode(errors="replace").partition("\n")[0] in told
    told.encode()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["pipe.wav", "device.wav", "broken.wav", "loop.wav", "empty.wav"])
def test_an_odd_file_that_is_named_itself_is_refused(tmp_path: Path, name: str) -> None:
    """Neither a pipe nor a device is read, and no link is followed for ever."""
    ODD[name](tmp_path / name)

    with pytest.raises(SourceError, match=name):
        ClipPlayer(tmp_path / name, loop=False)


def test_a_name_that_is_not_utf_8_is_played_and_can_be_sent(tmp_path: Path) -> None:
    """File names may be any bytes; what people and messages get is text."""
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    path.write_bytes(wav(SHORT))

    np.testing.assert_array_equal(play(path, 0.2), SHORT)
    assert ClipPlayer(path, loop=False).name == "caf\ufffd.wav"


@pytest.fixture
def ordinary_folder() -> Iterator[Path]:
    """Return a folder of an ordinary user, who runs the test: root may read everything."""
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid():
            yield Path(folder)
        else:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
            try:
                yield Path(folder)
            finally:
                os.seteuid(0)


def test_an_unreadable_file_is_skipped(ordinary_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that belongs to somebody else harms no neighbour."""
    for name in ("a.wav", "b.wav"):
        (ordinary_folder / name).write_bytes(wav(SHORT))
    (ordinary_folder / "a.wav").chmod(0)

    np.testing.assert_array_equal(play(ordinary_folder, 0.2), SHORT)
    assert "a.wav' cannot be read (Permission denied)" in caplog.text


@pytest.mark.parametrize("mode", [0, 0o400], ids=["unreadable", "unsearchable"])
@pytest.mark.parametrize("name", ["", "b.wav"], ids=["itself", "a file in it"])
def test_an_unreadable_folder_is_refused(ordinary_folder: Path, mode: int, name: str) -> None:
    """The sentence names the folder or the file."""
    clips = ordinary_folder / "clips"
    clips.mkdir()
    (clips / "b.wav").write_bytes(wav(SHORT))
    clips.chmod(mode)

    with pytest.raises(SourceError, match="clips"):
        ClipPlayer(clips / name, loop=False)
    clips.chmod(0o700)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.mkdir(),
        lambda path: None,
        lambda path: [path.mkdir(), (path / "empty.wav").touch(), (path / "broken.wav").write_bytes(b"RIFF")],
    ],
    ids=["empty", "missing", "all skipped"],
)
def test_a_path_without_clips_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """The error names the folder without clips or the missing path."""
    make(tmp_path / "clips")

    with pytest.raises(SourceError, match="clips"):
        ClipPlayer(tmp_path / "clips", loop=False)


def test_a_folder_whose_files_are_all_skipped_counts_them(tmp_path: Path) -> None:
    """The sentence says how many there were."""
    (tmp_path / "empty.wav").touch()
    (tmp_path / "broken.wav").write_bytes(b"RIFF")

    with pytest.raises(SourceError, match=r"holds no audio file that can be played \(2 skipped\); put WAV or FLAC"):
        ClipPlayer(tmp_path, loop=False)


def test_clips_are_paced_by_the_clock_and_end(tmp_path: Path) -> None:
    """Half a second of clip and half a second of pause arrive as blocks in order, dated one block apart."""
    soundfile.write(tmp_path / "clip.wav", CLIP[:8_000], 16_000)
    player = ClipPlayer(tmp_path / "clip.wav", loop=False)

    blocks = list(iter(player.read, None))

    sound = np.concatenate([block.samples for block in blocks])
    np.testing.assert_array_equal(sound[:8_000], CLIP[:8_000])
    assert len(sound) == 16_000
    assert np.abs(sound[8_000:]).max() > 0, "a pause is never digital silence"
    assert 850 <= blocks[-1].end_ms - blocks[0].end_ms <= 2_000


def test_a_loop_ends_when_it_is_closed(tmp_path: Path) -> None:
    """Closing ends a player that would go on for ever."""
    soundfile.write(tmp_path / "clip.wav", CLIP[:1_600], 16_000)
    player = ClipPlayer(tmp_path / "clip.wav", loop=True)
    assert player.read() is not None

    player.close()

    assert player.read() is None
