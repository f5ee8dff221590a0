"""Audio files played in real time, as if a microphone heard them."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from broker.messages import CaptureState
from common import audio_files
from common.audio_files import AudioFile, AudioFileError, Listing
from common.channels import ChannelMeter
from device.audio.source import SAMPLE_RATE_HZ, Block, SourceError
from device.system import clock
from models.frontend import Samples

log = logging.getLogger(__name__)

BLOCK_SAMPLES = 1_600
PAUSE_SAMPLES = SAMPLE_RATE_HZ // 2
"""Between two clips, as people pause."""
PAUSE_DEVIATION = 8.0
"""Standard deviation of the noise in a pause, about -72 dBFS: a microphone never delivers digital zeros."""


class ClipPlayer:
    """A source that plays a file, or the files of a folder in the order of their names, in real time.

    Args:
        path: File or folder; see `Clips` for what is played of it.
        channel: Number of the channel to play, from 1; None for the mean of all.
        loop: Whether to start again after the last clip.

    Raises:
        SourceError: there is no such path, or nothing that can be played.
    """

    dropped_blocks = 0
    capture: CaptureState = "ok"
    reopened = 0

    def __init__(self, path: Path, *, channel: int | None = None, loop: bool) -> None:
        self.name = audio_files.printable(path.name)
        self.id = str(path)
        clips = Clips(path, channel)
        self.meter = clips.meter
        blocks = _cut(clips.play(loop=loop))
        self._blocks = chain([next(blocks)], blocks)  # the first at once: it shows whether anything can be played
        self._closed = threading.Event()
        self._played = 0
        self._start_s = time.monotonic()

    def read(self) -> Block | None:
        """Wait until the next 100 ms have passed and return them; None after the last clip and when closed.

        Raises:
            SourceError: a loop finds nothing left to play.
        """
        samples = next(self._blocks, None)
        if samples is None:
            return None
        self._played += len(samples)
        wait_s = self._start_s + self._played / SAMPLE_RATE_HZ - time.monotonic()
        if self._closed.wait(max(0.0, wait_s)):
            return None
        return Block(samples, clock.monotonic_ms())

    def close(self) -> None:
        """Stop playing."""
        self._closed.set()


class Clips:
    """The clips of a file or folder, each read while it is played.

    What is wrong with a file of a folder is logged once, and the others are played. A named file must be playable.

    Args:
        path: File or folder; in a folder, the files with a suffix of `audio_files.SUFFIXES` are clips.
        channel: Number of the channel to play, from 1; None for the mean of all.
    """

    def __init__(self, path: Path, channel: int | None) -> None:
        self._path = path
        self._channel = channel
        self._is_folder = os.path.isdir(path)  # noqa: PTH112 - unlike Path.is_dir, False where nothing may be seen
        self._told: set[str] = set()
        self._is_warned = False
        self.meter = ChannelMeter(channel)
        """Of the current clip's channels."""

    def play(self, *, loop: bool) -> Iterator[Samples]:
        """Yield the clips as 16 kHz mono int16, each followed by a pause, in pieces of any length.

        Raises:
            SourceError: there is no such path, or nothing that can be played.
        """
        noise = np.random.default_rng(0)
        while True:
            listing = self._list()
            played, skipped = 0, len(listing.skipped)
            for file in listing.files:
                is_heard = False
                try:
                    for samples in self._clip(file):
                        is_heard = True
                        yield samples
                except AudioFileError as error:
                    if not self._is_folder:
                        raise SourceError(str(error)) from error
                    self._tell(logging.WARNING, f"skipped: {error}")
                    skipped += 1
                if is_heard:
                    played += 1
                    yield np.rint(noise.normal(0, PAUSE_DEVIATION, PAUSE_SAMPLES)).astype(np.int16)
            if not played:
                raise SourceError(
                    f"folder {audio_files.printable(self._path)!r} holds no audio file that can be played "
                    f"({skipped} skipped); put WAV or FLAC files into it"
                )
            if not loop:
                return

    def _list(self) -> Listing:
        """Return the files of this round, and say what is left out.

        Raises:
            SourceError: the folder cannot be read.
        """
        if not self._is_folder:
            return Listing([self._path], [])
        try:
            listing = audio_files.list_folder(self._path)
        except OSError as error:
            name = audio_files.printable(self._path)
            raise SourceError(f"folder {name!r} cannot be read ({error.strerror}); let this user read it") from error
        for sentence in listing.skipped:
            self._tell(logging.WARNING, f"skipped: {sentence}")
        self._tell(logging.INFO, f"{len(listing.files)} files to play, {len(listing.skipped)} skipped")
        return listing

    def _clip(self, path: Path) -> Iterator[Samples]:
        """Yield one clip without a pause, and say what is done to it and what is wrong with it.

        Raises:
            AudioFileError: nothing of it can be played.
        """
        is_heard = False
        with AudioFile(path) as file:
            self._describe(file)
            for samples in file.mono(SAMPLE_RATE_HZ, self._channel, self.meter):
                is_heard = True
                yield samples
                self._warn_of_channels(file)
            self._warn_of_channels(file)
            if not is_heard:
                raise AudioFileError(f"{file.name!r} {file.fault or 'holds no samples'}")
            if file.fault:
                self._tell(logging.WARNING, f"{file.name!r} {file.fault}; played what is there")

    def _warn_of_channels(self, file: AudioFile) -> None:
        """Log the first time that the mean of a file's channels loses sound."""
        if self.meter.fault and not self._is_warned:
            self._is_warned = True
            log.warning("%r %s; %s", file.name, self.meter.fault, self.meter.todo)

    def _describe(self, file: AudioFile) -> None:
        """Log what is done to reach 16 kHz mono."""
        done = []
        if file.channels > 1:
            chosen = "mixed to mono" if self._channel is None else f"channel {self._channel} played"
            done.append(f"{file.channels} channels, {chosen}")
        if file.rate_hz != SAMPLE_RATE_HZ:
            done.append(f"{file.rate_hz} Hz, resampled to {SAMPLE_RATE_HZ} Hz")
        if done:
            self._tell(logging.INFO, f"{file.name!r}: {'; '.join(done)}")

    def _tell(self, level: int, sentence: str) -> None:
        """Log a sentence the first time: a loop may go on for months."""
        if sentence not in self._told:
            self._told.add(sentence)
            log.log(level, "%s", sentence)


def _cut(pieces: Iterator[Samples]) -> Iterator[Samples]:
    """Yield sound in blocks of `BLOCK_SAMPLES`; the last may be shorter."""
    pending: Samples = np.empty(0, np.int16)
    for piece in pieces:
        pending = np.concatenate((pending, piece))
        while len(pending) >= BLOCK_SAMPLES:
            yield pending[:BLOCK_SAMPLES]
            pending = pending[BLOCK_SAMPLES:]
    if len(pending):
        yield pending
