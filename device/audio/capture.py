"""One open stream of a microphone, and the bounded queue from PortAudio's thread to the pipeline."""

import queue
import time
from typing import Any, NamedTuple

from common import channels
from device.audio.conversion import CaptureFormat, RawSamples, choose_format
from device.audio.input_devices import InputDevice
from device.audio.source import SourceError
from device.system import clock

BLOCK_MS = 100
QUEUE_BLOCKS = 100
"""Ten seconds of sound, for a pipeline that is busy."""
STALLED_S = 5.0
"""A stream that delivers nothing for this long is dead; the first block from a sound server takes two seconds."""


class CapturedBlock(NamedTuple):
    """What one callback delivered."""

    raw: RawSamples
    end_ms: int
    """By `clock.monotonic_ms`."""
    after_gap: bool
    """Whether sound is missing before it; true for the first of a stream."""
    stream: "CaptureStream"


class CaptureQueue:
    """Blocks on the way from PortAudio's thread to the pipeline.

    A full queue drops all its blocks and counts them: one long gap. Dropping one block each time would make a short gap
    every few blocks, and a pipeline that is too slow would never again get a whole window.
    """

    def __init__(self) -> None:
        self._blocks: queue.SimpleQueue[CapturedBlock | None] = queue.SimpleQueue()
        self.dropped = 0

    def put(self, block: CapturedBlock) -> None:
        """Append a block; never waits."""
        if self._blocks.qsize() >= QUEUE_BLOCKS:
            while self._blocks.qsize():
                self._blocks.get()
                self.dropped += 1
            block = block._replace(after_gap=True)
        self._blocks.put(block)

    def get(self, timeout_s: float) -> CapturedBlock | None:
        """Wait for the next block and return it; None after the timeout or `wake`."""
        try:
            return self._blocks.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def wake(self) -> None:
        """End a `get` that waits."""
        self._blocks.put(None)


class CaptureStream:
    """One microphone, open until `close`.

    Args:
        sounddevice: The module.
        device: Which microphone.
        channel: Number of the channel that will be heard, from 1; None for the mean of all.
        blocks: Gets what it delivers.

    Raises:
        SourceError: it has no such channel, or cannot be opened.
    """

    def __init__(self, sounddevice: Any, device: InputDevice, channel: int | None, blocks: CaptureQueue) -> None:
        self._queue = blocks
        self._after_gap = True
        self._finished = False
        self.format = _choose_format(sounddevice, device, channel)
        self._latest_s = self._opened_s = time.monotonic()
        try:
            self._stream = sounddevice.InputStream(
                device=device.index,
                channels=self.format.channels,
                dtype="int16",
                samplerate=self.format.rate_hz,
                blocksize=self.format.rate_hz * BLOCK_MS // 1000,
                callback=self._on_block,
                finished_callback=self._on_finished,
            )
        except sounddevice.PortAudioError as error:
            raise _open_error(device, error) from error
        try:
            self._stream.start()
        except sounddevice.PortAudioError as error:
            self.close()
            raise _open_error(device, error) from error

    @property
    def is_alive(self) -> bool:
        """Whether it delivers; a new stream has `STALLED_S` to begin."""
        return not self._finished and time.monotonic() - self._latest_s < STALLED_S

    @property
    def delivered_s(self) -> float:
        """Seconds from opening to the latest block."""
        return self._latest_s - self._opened_s

    def close(self) -> None:
        """Stop listening; waits for ever if the driver or the sound server hangs."""
        self._stream.close(ignore_errors=True)

    def _on_block(self, raw: RawSamples, _frames: int, _time: object, status: object) -> None:
        """Enqueue one block; runs in PortAudio's thread, so it does nothing else."""
        self._latest_s = time.monotonic()
        overrun = bool(status)
        if overrun:
            self._queue.dropped += 1
        after_gap, self._after_gap = self._after_gap or overrun, False
        self._queue.put(CapturedBlock(raw.copy(), clock.monotonic_ms(), after_gap, self))

    def _on_finished(self) -> None:
        """Note the end, such as a card that was unplugged; runs in PortAudio's thread."""
        self._finished = True


def _choose_format(sounddevice: Any, device: InputDevice, channel: int | None) -> CaptureFormat:
    if lack := channels.missing(channel, device.channels):
        raise SourceError(f"microphone {device} {lack}")
    refusal = None

    def is_supported(candidate: CaptureFormat) -> bool:
        nonlocal refusal
        try:
            sounddevice.check_input_settings(
                device=device.index, channels=candidate.channels, dtype="int16", samplerate=candidate.rate_hz
            )
        except sounddevice.PortAudioError as error:
            refusal = error
            return False
        return True

    chosen = choose_format(device.rate_hz, device.channels, channel, is_supported)
    if chosen is None:
        raise _open_error(device, refusal)
    return chosen


def _open_error(device: InputDevice, error: Exception | None) -> SourceError:
    return SourceError(f"microphone {device} cannot be opened: {error}")
