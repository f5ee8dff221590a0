"""Wrong sizes in headers are told from files that are cut short."""

import struct
from pathlib import Path

import numpy as np
import pytest
from wav_files import wav

from common import wav_header
from common.audio_files import AudioFile
from models.runtime import synthetic_clip

SOUND = synthetic_clip(4_000)
SIZE = 2 * len(SOUND)
UNKNOWN_64 = (1 << 64) - 1


def rf64(whole: int, data: int) -> bytes:
    """Return a file in RF64, whose sizes stand in a chunk of their own."""
    plain = wav(SOUND, whole=0xFFFF_FFFF, data=0xFFFF_FFFF)
    return b"RF64" + plain[4:12] + struct.pack("<4sIQQQI", b"ds64", 28, whole, data, 0, 0) + plain[12:]


@pytest.mark.parametrize(
    "content",
    [
        wav(SOUND),
        wav(SOUND, whole=0, data=0),
        wav(SOUND, whole=36, data=0),
        wav(SOUND, whole=0xFFFF_FFFF, data=0),
        wav(SOUND, whole=0xFFFF_FFFF, data=0xFFFF_FFFF),
        wav(SOUND, whole=0x7FFF_F024, data=0x7FFF_F000),
        wav(SOUND, whole=0x7F00_0024, data=0x7F00_0000),
        wav(SOUND, whole=8),
        rf64(72 + SIZE, SIZE),
        rf64(0, 0),
        rf64(UNKNOWN_64, UNKNOWN_64),
    ],
    ids=[
        *("true", "zeros", "killed", "no data", "ones", "sox", "2 GB", "whole too small"),
        *("RF64", "RF64 zeros", "RF64 ones"),
    ],
)
def test_a_size_that_the_writer_did_not_know_hides_nothing(tmp_path: Path, content: bytes) -> None:
    """All of the sound is read, and nothing is called cut short."""
    (tmp_path / "clip.wav").write_bytes(content)

    with AudioFile(tmp_path / "clip.wav") as file:
        np.testing.assert_array_equal(file.read(16_000), SOUND)
        assert file.fault == ""


@pytest.mark.parametrize("content", [wav(SOUND), rf64(72 + SIZE, SIZE)], ids=["RIFF", "RF64"])
def test_a_size_that_can_be_believed_shows_that_a_file_is_cut_short(tmp_path: Path, content: bytes) -> None:
    """The header was right once."""
    (tmp_path / "clip.wav").write_bytes(content[:-1_000])

    with (tmp_path / "clip.wav").open("rb") as file:
        assert wav_header.read(file.fileno()) == wav_header.Header(is_cut=True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"fLaC" + bytes(100),
        wav(SOUND)[:20],
        wav(SOUND[:0]),
        wav(SOUND[:0], whole=46)[:44] + b"LIST\x02\0\0\0..",
        b"RIFF\0\0\0\0WAVE" + b"JUNK\0\0\0\0" * 5_000,
    ],
    ids=["empty", "short", "FLAC", "no sound", "no samples", "no samples but text", "many chunks"],
)
def test_nothing_is_said_of_other_files(tmp_path: Path, content: bytes) -> None:
    """Files without sound, and those of other formats, are left to libsndfile."""
    (tmp_path / "clip.wav").write_bytes(content)

    with (tmp_path / "clip.wav").open("rb") as file:
        assert wav_header.read(file.fileno()) == wav_header.Header()
