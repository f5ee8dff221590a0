"""One open stream of a microphone, and the bounded queue between PortAudio's thread and the pipeline."""

import queue
import time
from typing import Any, NamedTuple

from device.audio.conversion import Captured, CaptureFormat, probe
from device.audio.input_devices import InputDevice
from device.audio.source import SourceError
from device.system import clock

BLOCK_MS = 100
QUEUE_BLOCKS = 100
"""Ten seconds may wait for a pipeline that is busy."""
STALLED_S = 5.0
"""A stream that delivers nothing for so long is dead; the first block from a sound server takes two seconds."""


class CapturedBlock(NamedTuple):
    """What one callback delivered."""

    captured: Captured
    end_ms: int
    after_gap: bool
    """Whether sound is missing before it; true for the first of a stream."""
    stream: "CaptureStream"


class CaptureQueue:
    """What waits between PortAudio's thread and the pipeline.

    When it is full, everything that waits is dropped and counted: one long gap. Dropping the oldest or the newest
    piece each time would make a short gap every few pieces instead, and a pipeline that is too slow would never again
    get a window without one.
    """

    def __init__(self) -> None:
        # A simple queue because its `put` is safe in a signal handler that interrupts a `get`.
        self._waiting: queue.SimpleQueue[CapturedBlock | None] = queue.SimpleQueue()
        self.dropped = 0

    def put(self, piece: CapturedBlock) -> None:
        """Append a piece; never waits."""
        if self._waiting.qsize() >= QUEUE_BLOCKS:
            while self._waiting.qsize():
                self._waiting.get()
                self.dropped += 1
            piece = piece._replace(after_gap=True)
        self._waiting.put(piece)

    def get(self, timeout_s: float) -> CapturedBlock | None:
        """Wait for the next piece and return it; None when none comes in time, or when `wake` is called."""
        try:
            return self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def wake(self) -> None:
        """End a waiting `get`."""
        self._waiting.put(None)


class CaptureStream:
    """One microphone from opening to closing.

    Raises:
        SourceError: it cannot be opened.
    """

    def __init__(self, sounddevice: Any, found: InputDevice, pieces: CaptureQueue) -> None:
        self._pieces = pieces
        self._gap = True
        self._ended = False
        self.chain = _probe(sounddevice, found)
        self._latest_s = self._opened_s = time.monotonic()
        try:
            self._stream = sounddevice.InputStream(
                device=found.index,
                channels=self.chain.channels,
                dtype="int16",
                samplerate=self.chain.rate_hz,
                blocksize=self.chain.rate_hz * BLOCK_MS // 1000,
                callback=self._take,
                finished_callback=self._end,
            )
        except sounddevice.PortAudioError as error:
            raise _unopened(found, error) from error
        try:
            self._stream.start()
        except sounddevice.PortAudioError as error:
            self.close()
            raise _unopened(found, error) from error

    @property
    def lives(self) -> bool:
        """Whether it delivers; a stream that is new has some seconds to begin."""
        return not self._ended and time.monotonic() - self._latest_s < STALLED_S

    @property
    def delivered_s(self) -> float:
        """For how long it has delivered."""
        return self._latest_s - self._opened_s

    def close(self) -> None:
        """Stop listening; waits for ever when the driver or the sound server does not answer."""
        self._stream.close(ignore_errors=True)

    def _take(self, captured: Captured, _frames: int, _time: object, status: object) -> None:
        """Enqueue one piece; runs in PortAudio's thread, so it does nothing else."""
        self._latest_s = time.monotonic()
        overrun = bool(status)
        if overrun:
            self._pieces.dropped += 1
        gap, self._gap = self._gap or overrun, False
        self._pieces.put(CapturedBlock(captured.copy(), clock.monotonic_ms(), gap, self))

    def _end(self) -> None:
        """Note that there will be no more; runs in PortAudio's thread, as when a card is unplugged."""
        self._ended = True


def _probe(sounddevice: Any, found: InputDevice) -> CaptureFormat:
    refused = None

    def takes(chain: CaptureFormat) -> bool:
        nonlocal refused
        try:
            sounddevice.check_input_settings(
                device=found.index, channels=chain.channels, dtype="int16", samplerate=chain.rate_hz
            )
        except sounddevice.PortAudioError as error:
            refused = error
            return False
        return True

    chain = probe(found.rate_hz, found.channels, takes)
    if chain is None:
        raise _unopened(found, refused)
    return chain


def _unopened(found: InputDevice, error: Exception | None) -> SourceError:
    return SourceError(f"microphone {found} cannot be opened: {error}")
