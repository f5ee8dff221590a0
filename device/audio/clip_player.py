"""Audio files played in real time, as if a microphone heard them."""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from broker.messages import CaptureState
from device.audio.source import SAMPLE_RATE_HZ, Block, SourceError
from device.system import clock
from models.frontend import Samples

log = logging.getLogger(__name__)

BLOCK_SAMPLES = 1_600
SUFFIXES = {".aif", ".aiff", ".flac", ".mp3", ".ogg", ".wav"}
"""Files of a folder that are played; a file that is named itself may have any name."""
PAUSE_SAMPLES = SAMPLE_RATE_HZ // 2
"""Between two clips, as people pause."""
PAUSE_DEVIATION = 8.0
"""Standard deviation of the noise in a pause, about -72 dBFS: a microphone never delivers digital zeros."""


class ClipPlayer:
    """A source that plays a file, or the files of a folder in the order of their names, in real time.

    Args:
        path: File or folder; see `load` for what is played of it.
        loop: Whether to start again after the last clip.

    Raises:
        SourceError: there is no such path, or nothing that can be played.
    """

    dropped_blocks = 0
    capture: CaptureState = "ok"
    reopened = 0

    def __init__(self, path: Path, *, loop: bool) -> None:
        self.name = path.name
        self.id = str(path)
        self._blocks = blocks(load(path), loop=loop)
        self._closed = threading.Event()
        self._played = 0
        self._start_s = time.monotonic()

    def read(self) -> Block | None:
        """Wait until the next 100 ms have passed and return them; None after the last clip and when closed."""
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


def load(path: Path) -> list[Samples]:
    """Return the clips of a file or folder as 16 kHz mono int16, each of shape (samples,).

    Files that are not 16 kHz mono are mixed and resampled; unreadable files of a folder are skipped. The log says so.

    Raises:
        SourceError: there is no such path, a single file cannot be read, or a folder holds nothing that can.
    """
    if not path.exists():
        raise SourceError(f"no file or folder {str(path)!r} to play")
    if path.is_file():
        return [_read(path)]
    clips = []
    for file in sorted(entry for entry in path.iterdir() if entry.suffix.lower() in SUFFIXES):
        try:
            clips.append(_read(file))
        except SourceError as error:
            log.warning("skipped: %s", error)
    if not clips:
        raise SourceError(f"folder {str(path)!r} holds no audio file that can be played; put WAV or FLAC files into it")
    return clips


def blocks(clips: list[Samples], *, loop: bool) -> Iterator[Samples]:
    """Yield the clips, each followed by a pause, in blocks."""
    noise = np.random.default_rng(0)
    while True:
        for clip in clips:
            pause = np.rint(noise.normal(0, PAUSE_DEVIATION, PAUSE_SAMPLES)).astype(np.int16)
            sound = np.concatenate((clip, pause))
            for start in range(0, len(sound), BLOCK_SAMPLES):
                yield sound[start : start + BLOCK_SAMPLES]
        if not loop:
            return


def _read(path: Path) -> Samples:
    """Return one file as 16 kHz mono int16."""
    try:
        # float32 holds 16- and 24-bit samples exactly, and libsndfile scales every format to [-1, 1].
        sound, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise SourceError(f"{str(path)!r} is not audio that libsndfile can read: {error}") from error
    if _is_truncated(path):
        log.warning("%s is cut short: its header promises more than the file holds; playing what is there", path.name)
    if len(sound) == 0:
        raise SourceError(f"{str(path)!r} holds no samples")
    if not np.isfinite(sound).all():
        raise SourceError(f"{str(path)!r} holds samples that are not numbers")
    channels = sound.shape[1]
    if channels != 1:
        log.info("%s: %d channels, mixed to mono", path.name, channels)
    mono = sound.mean(axis=1)
    if rate_hz != SAMPLE_RATE_HZ:
        log.info("%s: %d Hz, resampled to %d Hz", path.name, rate_hz, SAMPLE_RATE_HZ)
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ)
    samples: Samples = np.clip(np.rint(mono * 32_768), -32_768, 32_767).astype(np.int16)
    return samples


def _is_truncated(path: Path) -> bool:
    """Return whether a RIFF file is shorter than its header says, which libsndfile does not report."""
    with path.open("rb") as file:
        header = file.read(8)
    return header[:4] == b"RIFF" and int.from_bytes(header[4:8], "little") + 8 > path.stat().st_size
