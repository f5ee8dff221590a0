"""Audio files read block by block as mono, with the same result everywhere; memory does not grow with their length.

Needs NumPy, soundfile and soxr, which a server lacks: import it only in rooms that hear sound.
"""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from common import channels, wav_header
from common.channels import ChannelMeter

SUFFIXES = {".aif", ".aiff", ".flac", ".mp3", ".ogg", ".wav"}
"""Files of a folder that are taken for audio; a file that is named itself may have any name."""
RATES_HZ = (4_000, 768_000)
"""Lowest and highest sample rate that is accepted: below there is no speech, above is no recorder."""
LONGEST_S = 3_600
"""A file that is held in memory as a whole may be this long: 115 MB at 16 kHz."""
BLOCK_S = 0.1
"""Length of a block: damage costs the rest of the block in which it begins."""
BLOCK_VALUES = 65_536
"""A block of many channels is shorter, so that it holds no more samples than this."""
SLACK_S = 0.1
"""A file may be this much shorter than it says: MP3 headers count roughly."""

LOUDEST = 1e10
"""Full scale is 1; floats beyond this are damage, and their squares would overflow."""
CUT = "is cut short: its header promises more than the file holds; copy it again"
UNKNOWN_FRAMES = 1 << 40
"""From this length on a header does not know the length: libsndfile then says 2^63 - 1."""

Samples = NDArray[np.int16]
"""Mono, shape (samples,)."""


class AudioFileError(Exception):
    """A file cannot be read as audio; the message names it and says what to do."""


class Listing(NamedTuple):
    """What a folder holds."""

    files: list[Path]
    """Audio files by name; each exists, is not empty and may be read."""
    skipped: list[str]
    """One sentence for each entry that looks like audio or like a folder, and is left out."""


class AudioFile:
    """An open audio file.

    Raises:
        AudioFileError: it cannot be opened, or its header names no usable format.
    """

    def __init__(self, path: Path) -> None:
        self.name = printable(path)
        _check(path)
        try:
            # Without waiting: the file may have become a pipe since it was checked.
            self._file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            header = wav_header.read(self._file.fileno())
            source = header.repaired(self._file) if header.repair else self._file.fileno()
            self._sound = soundfile.SoundFile(source, closefd=False)
        except (soundfile.LibsndfileError, OSError) as error:
            self._file.close()
            reason = _reason(error)
            raise AudioFileError(
                f"{self.name!r} is not audio that libsndfile can read ({reason}); convert it to WAV or FLAC"
            ) from error
        self.rate_hz: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        self.frames: int = self._sound.frames
        """Samples of each channel by the header; at least `UNKNOWN_FRAMES` if the header does not know."""
        self.fault = CUT if header.is_cut else ""
        """End of a sentence about what is wrong with the sound; complete after the last block."""
        if refusal := self._refusal():
            self.close()
            raise AudioFileError(f"{self.name!r} {refusal}")

    def _refusal(self) -> str:
        """Return the end of a sentence about a format that would ask for absurd amounts of memory."""
        low, high = RATES_HZ
        if not low <= self.rate_hz <= high:
            return f"has a sample rate of {self.rate_hz} Hz by its header; convert it to 16000 Hz, or mend its header"
        if self.channels > channels.MOST:
            return f"has {self.channels} channels by its header; mix it down to 1, or mend its header"
        return ""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._sound.close()
        self._file.close()

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the sound in blocks of shape (samples, channels), full scale 1, up to a fault; see `fault`.

        float32 holds samples of 16 and of 24 bits exactly.
        """
        length = max(1, min(round(BLOCK_S * self.rate_hz), BLOCK_VALUES // self.channels))
        count = 0
        while True:
            try:
                block = self._sound.read(out=np.empty((length, self.channels), np.float32))
            except soundfile.LibsndfileError as error:
                self.fault = f"is damaged or cut short after {count / self.rate_hz:.1f} s ({_reason(error)})"
                return
            if len(block) == 0:
                break
            if not (np.abs(block) < LOUDEST).all():  # false for a NaN too
                self.fault = f"holds samples that are not numbers after {count / self.rate_hz:.1f} s"
                return
            count += len(block)
            yield block
        if count == 0:
            self.fault = self.fault or "holds no samples"
        elif not self.fault and count + SLACK_S * self.rate_hz < self.frames < UNKNOWN_FRAMES:
            self.fault = CUT

    def mono(self, rate_hz: int, channel: int | None, meter: ChannelMeter | None = None) -> Iterator[Samples]:
        """Yield the sound as mono int16 at a sample rate, in blocks, up to a fault; see `fault`.

        Args:
            rate_hz: Wanted sample rate.
            channel: Number of the wanted channel, from 1; None for the mean of all.
            meter: Takes the channels as they are.

        Raises:
            AudioFileError: it has no such channel.
        """
        if lack := channels.missing(channel, self.channels):
            raise AudioFileError(f"{self.name!r} {lack}")
        same = rate_hz == self.rate_hz
        resampler = None if same else soxr.ResampleStream(self.rate_hz, rate_hz, 1, dtype="float32")
        for block in self.blocks():
            if meter:
                meter.push(block, self.rate_hz)
            sound = channels.to_mono(block, channel)
            resampled = resampler.resample_chunk(sound) if resampler else sound
            if len(resampled):
                yield _int16(resampled)
        if meter:
            meter.end(self.rate_hz)
        if resampler and len(rest := resampler.resample_chunk(np.empty(0, np.float32), last=True)):
            yield _int16(rest)

    def read(self, rate_hz: int, channel: int | None = None) -> Samples:
        """Return all of the sound as mono int16 at a sample rate, shape (samples,).

        Raises:
            AudioFileError: it is faulty, it is longer than `LONGEST_S`, it has no such channel, or the mean of its
                channels loses what they hold.
        """
        if self.frames < UNKNOWN_FRAMES:
            self._check_length(self.frames / self.rate_hz)
        meter = ChannelMeter(channel, judged_s=LONGEST_S)  # the whole file at once
        pieces, length = [], 0
        for piece in self.mono(rate_hz, channel, meter):
            pieces.append(piece)
            length += len(piece)
            self._check_length(length / rate_hz)
        if self.fault:
            raise AudioFileError(f"{self.name!r} {self.fault}")
        if meter.fault:
            raise AudioFileError(f"{self.name!r} {meter.fault}; keep only one of its channels")
        return np.concatenate([np.empty(0, np.int16), *pieces])

    def _check_length(self, seconds: float) -> None:
        if seconds > LONGEST_S:
            raise AudioFileError(f"{self.name!r} is {seconds:.0f} s long; cut it into pieces of at most {LONGEST_S} s")


def list_folder(folder: Path) -> Listing:
    """Return the audio files of a folder, and why other entries are left out; files without sound are not mentioned.

    Raises:
        OSError: the folder cannot be read.
    """
    files, skipped = [], []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            skipped.append(f"{printable(entry)!r} is hidden")
        elif entry.suffix.lower() in SUFFIXES or os.path.isdir(entry):  # noqa: PTH112 - never raises
            try:
                _check(entry)
            except AudioFileError as error:
                skipped.append(str(error))
            else:
                files.append(entry)
    return Listing(files, skipped)


def printable(path: Path | str) -> str:
    """Return a path as text that can be printed and sent, although file names may be any bytes."""
    return os.fsencode(path).decode(errors="replace")


def _check(path: Path) -> None:
    """Check what can be known about a file without opening it: pipes and devices may wait or never end."""
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    name = printable(path)
    if stat.S_ISDIR(found.st_mode):
        raise AudioFileError(f"{name!r} is a folder; name it itself to read its files")
    if not stat.S_ISREG(found.st_mode):
        raise AudioFileError(f"{name!r} is a pipe or a device; record it into a file first")
    if found.st_size == 0:
        raise AudioFileError(f"{name!r} is empty; copy it again")
    if not os.access(path, os.R_OK):
        raise _unreadable(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def _unreadable(path: Path, error: OSError) -> AudioFileError:
    todo = {
        errno.ENOENT: "name another",
        errno.ELOOP: "remove the link",
        errno.EACCES: "let this user read it",
    }.get(error.errno or 0, "copy it again")
    if error.errno == errno.ENOENT and path.is_symlink():
        todo = "remove the link, or mend it"
    return AudioFileError(f"{printable(path)!r} cannot be read ({error.strerror}); {todo}")


def _reason(error: soundfile.LibsndfileError | OSError) -> str:
    said = error.error_string if isinstance(error, soundfile.LibsndfileError) else error.strerror
    return (said or "unknown error").rstrip(".")


def _int16(sound: NDArray[np.float32]) -> Samples:
    samples: Samples = np.clip(np.rint(sound * 32_768), -32_768, 32_767).astype(np.int16)
    return samples
