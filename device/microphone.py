"""Listens to a microphone through PortAudio."""

import logging
import queue
import threading
from typing import Any

import soxr

from device import clock
from device.sound import SAMPLE_RATE_HZ, Block, Capture, SourceError
from models.frontend import Samples

log = logging.getLogger(__name__)

BLOCK_MS = 100
QUEUE_BLOCKS = 100
"""Ten seconds may wait for a pipeline that is busy; then blocks are dropped and counted."""
SILENT_S = 3.0
"""A stream that delivers nothing for so long is opened again."""
LONGEST_RETRY_S = 60.0


class Microphone:
    """One microphone, opened again with growing pauses whenever it stops delivering.

    Captured as int16 at 16 kHz if the card can, else at its own rate and resampled.

    Raises:
        SourceError: PortAudio is missing, or the microphone is not there or cannot be opened.
    """

    def __init__(self, wanted: str) -> None:
        self._sounddevice = _portaudio()
        self._wanted = wanted
        self._blocks: queue.Queue[Block | None] = queue.Queue(QUEUE_BLOCKS)
        self._closed = threading.Event()
        self.dropped_blocks = 0
        self.reopened = 0
        self.capture: Capture = "ok"
        self._resampler: soxr.ResampleStream | None = None
        self._stream: Any = None
        self.name = ""
        self._open()

    def read(self) -> Block | None:
        """Wait for the next block; None when closed."""
        retry_s = 1.0
        while not self._closed.is_set():
            try:
                block = self._blocks.get(timeout=SILENT_S)
            except queue.Empty:
                log.warning("microphone %r has delivered nothing for %.0f s; opening it again", self.name, SILENT_S)
                retry_s = self._reopen(retry_s)
                continue
            if block is None or self._resampler is None:
                return block
            samples = self._resampler.resample_chunk(block.samples)
            return Block(samples, block.end_ms)
        return None

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        self._close_stream()
        try:
            self._blocks.put_nowait(None)
        except queue.Full:
            return  # a reader that finds blocks sees that it is closed after the next one

    def _open(self) -> None:
        sounddevice = self._sounddevice
        device = resolve(self._wanted, sounddevice)
        try:
            facts = sounddevice.query_devices(device, "input")
        except sounddevice.PortAudioError as error:
            raise SourceError(f"no default microphone ({error}); choose one with --mic") from error
        self.name = str(facts["name"])
        try:
            sounddevice.check_input_settings(device=device, channels=1, dtype="int16", samplerate=SAMPLE_RATE_HZ)
            rate_hz = SAMPLE_RATE_HZ
        except sounddevice.PortAudioError:
            rate_hz = int(facts["default_samplerate"])
        self._resampler = (
            None if rate_hz == SAMPLE_RATE_HZ else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="int16")
        )
        try:
            self._stream = sounddevice.InputStream(
                device=device,
                channels=1,
                dtype="int16",
                samplerate=rate_hz,
                blocksize=rate_hz * BLOCK_MS // 1000,
                callback=self._take,
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise SourceError(f"microphone {self.name!r} cannot be opened: {error}") from error
        log.info("listening to %r at %d Hz", self.name, rate_hz)

    def _take(self, samples: Samples, _frames: int, _time: object, status: object) -> None:
        """Enqueue one block; runs in PortAudio's thread, so it does nothing else."""
        if status:
            self.dropped_blocks += 1
        try:
            self._blocks.put_nowait(Block(samples[:, 0].copy(), clock.monotonic_ms()))
        except queue.Full:
            self.dropped_blocks += 1

    def _reopen(self, retry_s: float) -> float:
        """Open the microphone again; on failure wait, and return how long to wait the next time."""
        self._close_stream()
        try:
            self._open()
        except SourceError as error:
            log.warning("%s; next try in %.0f s", error, retry_s)
            self._closed.wait(retry_s)
            return min(retry_s * 2, LONGEST_RETRY_S)
        return 1.0

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close(ignore_errors=True)
            self._stream = None


def listing() -> str:
    """Return the microphones that PortAudio finds, one a line.

    Raises:
        SourceError: PortAudio is missing.
    """
    sounddevice = _portaudio()
    lines = [
        f"{index:3d}  {found['name']}  ({found['max_input_channels']} channels, {found['default_samplerate']:.0f} Hz)"
        for index, found in enumerate(sounddevice.query_devices())
        if found["max_input_channels"] > 0
    ]
    return "\n".join(lines) or "no microphone found"


def resolve(wanted: str, sounddevice: Any) -> int | None:
    """Return PortAudio's index of the wanted microphone, or None for the default one.

    Raises:
        SourceError: none or several match; a microphone is never swapped silently.
    """
    inputs = {
        index: str(device["name"])
        for index, device in enumerate(sounddevice.query_devices())
        if device["max_input_channels"] > 0
    }
    if not inputs:
        raise SourceError("no microphone found; plug one in, or play files with --clips")
    if not wanted:
        return None
    matches = [index for index, name in inputs.items() if wanted == str(index) or wanted.lower() in name.lower()]
    exact = [index for index in matches if inputs[index] == wanted or wanted == str(index)]
    if len(exact) == 1:
        return exact[0]
    if len(matches) == 1:
        return matches[0]
    known = "; ".join(f"{index}: {name}" for index, name in inputs.items())
    count = "none" if not matches else "several"
    raise SourceError(f"microphone {wanted!r} matches {count} of: {known}")


def _portaudio() -> Any:
    """Return the sounddevice module; imported late because it needs a system library that clips do not."""
    try:
        import sounddevice  # noqa: PLC0415
    except OSError as error:
        raise SourceError(
            "PortAudio is missing; install it (Debian, Raspberry Pi OS: apt install libportaudio2), "
            "or play files with --clips"
        ) from error
    return sounddevice
