"""A microphone that recovers: it is reopened whenever it stops delivering."""

import atexit
import logging
import threading
import time

from broker.messages import CaptureState
from common.backoff import Backoff
from common.channels import ChannelMeter, to_mono
from device.audio import portaudio
from device.audio.capture import CapturedBlock, CaptureQueue, CaptureStream
from device.audio.capture_faults import ConstantDetector, LossTracker
from device.audio.conversion import Resampler
from device.audio.input_devices import ID_KINDS, InputDevice, choose, find_again
from device.audio.source import Block, SourceError

log = logging.getLogger(__name__)

CHECK_S = 0.5
STEADY_S = 10.0
"""After delivering for this long a stream is well again: the next fault begins with short pauses."""
HUNG_S = 30.0
"""PortAudio that does not return for this long never will: with some drivers it hangs when a card is unplugged.

Shorter than the watchdog of the systemd unit waits, which would end the device without saying why.
"""
CLOSING_S = 2.0
FAULTS: dict[CaptureState, str] = {
    "zeros": "delivers exact zeros; unmute it or switch it on",
    "flat": "delivers one constant value; check cable and card",
    "stalled": "is present but delivers nothing",
    "missing": "is missing; waiting for it, no other is taken instead",
}


class Microphone:
    """A source that reopens one microphone, with growing pauses, whenever it stops delivering; one per process.

    Each reopening must find the input that was chosen first, whatever index and card number it has by then; a setting
    that is a stable id is looked up anew. After the first opening one thread, the keeper, makes all calls into
    PortAudio, so that a call that hangs stops nobody else.

    Args:
        mic: Which microphone: see `input_devices.choose`.
        channel: Number of the channel to hear, from 1; None for the mean of all.

    Raises:
        SourceError: PortAudio is missing, or the microphone is missing or cannot be opened.
    """

    def __init__(self, mic: str, channel: int | None = None) -> None:
        self._sounddevice = portaudio.load()
        self._mic = mic
        self._channel = channel
        self.meter = ChannelMeter(channel)
        self._queue = CaptureQueue()
        self._resampler: Resampler | None = None
        self._constant = ConstantDetector()
        self._losses = LossTracker()
        self._backoff = Backoff(1.0, 30.0)
        # A switch on the microphone gives exact zeros too, and then reopening helps nobody.
        self._constant_backoff = Backoff(60.0, 3_600.0)
        self._constant_retry_s: float | None = None
        self._calling_since_s: float | None = None
        self._lock = threading.Lock()
        """Guards `capture`, `_logged`, and changes of `_stream` that contradict them."""
        self._closed = threading.Event()
        self.capture: CaptureState = "ok"
        self._logged: CaptureState = "ok"
        self.reopened = 0
        device = choose(mic, portaudio.list_inputs(self._sounddevice), portaudio.default_index(self._sounddevice))
        self._device = device
        self._stream: CaptureStream | None = self._open(device)
        self._keeper = threading.Thread(target=self._keep, name="microphone", daemon=True)
        self._keeper.start()

    @property
    def name(self) -> str:
        """PortAudio's name of the microphone."""
        return self._device.name

    @property
    def id(self) -> str:
        """Its best stable id, else its name."""
        return self._device.label

    @property
    def dropped_blocks(self) -> int:
        """Blocks of `capture.BLOCK_MS` that nobody read in time, or that PortAudio reported lost."""
        return self._queue.dropped

    def read(self) -> Block | None:
        """Wait for the next block, however long the microphone is away; None when closed.

        Raises:
            SourceError: PortAudio hangs, which only a new process can cure.
        """
        after_gap = False
        while not self._closed.is_set():
            captured = self._queue.get(CHECK_S)
            if captured is None:
                self._raise_if_hung()
                continue
            after_gap |= captured.after_gap
            rate_hz = captured.stream.format.rate_hz
            self._measure(captured)
            samples = to_mono(captured.raw, self._channel)
            self._judge(captured, self._constant.push(samples, rate_hz))
            if self._resampler is None or captured.after_gap:
                self._resampler = Resampler(rate_hz)
            samples = self._resampler.push(samples)
            if len(samples) > 0:
                return Block(samples, captured.end_ms - round(self._resampler.delay_ms), after_gap)
        return None

    def close(self) -> None:
        """Stop listening; takes at most `CLOSING_S`, even if PortAudio hangs."""
        self._closed.set()
        self._queue.wake()
        self._keeper.join(CLOSING_S)
        if self._keeper.is_alive():  # it hangs in PortAudio, and so would the library's own clean-up at exit
            atexit.unregister(self._sounddevice._exit_handler)  # noqa: SLF001 - there is no public way

    def _open(self, device: InputDevice) -> CaptureStream:
        stream = CaptureStream(self._sounddevice, device, self._channel, self._queue)
        known_by = device.label if device.ids else "its name only"
        log.info("listening to %r, known by %s: %s", device.name, known_by, stream.format.describe(self._channel))
        return stream

    def _keep(self) -> None:
        """Check the stream until closed."""
        pause_s = CHECK_S
        while not self._closed.wait(pause_s):
            pause_s = self._check()
        self._close_stream()

    def _check(self) -> float:
        """Reopen the stream if it needs that; return the seconds until the next check."""
        now_s = time.monotonic()
        if message := self._losses.push(self._queue.dropped, now_s):
            log.warning("microphone %r: %s", self.name, message)
        stream = self._stream
        if stream is None or not stream.is_alive:
            self._reopen()
            return self._backoff.next_s()
        if stream.delivered_s > STEADY_S:
            self._backoff.reset()
        if self._constant_retry_is_due(now_s):
            self._reopen()
        return CHECK_S

    def _constant_retry_is_due(self, now_s: float) -> bool:
        """Return whether to reopen a microphone because it has delivered one constant value for long."""
        if self.capture not in {"zeros", "flat"}:
            self._constant_backoff.reset()
            self._constant_retry_s = None
            return False
        is_due = self._constant_retry_s is not None and now_s >= self._constant_retry_s
        if is_due or self._constant_retry_s is None:
            self._constant_retry_s = now_s + self._constant_backoff.next_s()
        return is_due

    def _reopen(self) -> None:
        """Close, rescan, find the same microphone and open it; log what fails."""
        self._calling_since_s = time.monotonic()
        try:
            self._close_stream()  # may hang; until more is known the microphone is stalled
            portaudio.rescan(self._sounddevice)
            device = self._find_device()
        except SourceError as error:
            self._set_capture("missing", error)
        else:
            try:
                self._stream = self._open(device)
                self._device = device
                self.reopened += 1
                self._set_capture(self.capture)  # logs a stall that `_close_stream` noted
            except SourceError as error:
                self._set_capture("stalled", error)
        finally:
            self._calling_since_s = None

    def _find_device(self) -> InputDevice:
        devices = portaudio.list_inputs(self._sounddevice)
        if self._mic.startswith(ID_KINDS):
            return choose(self._mic, devices, default=-1)
        return find_again(self._device, devices)

    def _close_stream(self) -> None:
        with self._lock:
            stream, self._stream = self._stream, None
            if stream is not None and not stream.is_alive:
                self.capture = "stalled"
        if stream is not None:
            stream.close()

    def _measure(self, captured: CapturedBlock) -> None:
        """Measure the channels, and say once if their mean loses sound."""
        before = self.meter.fault
        self.meter.push(captured.raw, captured.stream.format.rate_hz)
        if self.meter.fault != before:
            log.warning("microphone %r %s; %s", self.name, self.meter.fault, self.meter.todo)

    def _judge(self, captured: CapturedBlock, capture: CaptureState) -> None:
        """Note what samples tell, unless they waited in the queue while their stream was closed."""
        with self._lock:
            if captured.stream is self._stream:
                self._note(capture)

    def _set_capture(self, capture: CaptureState, error: SourceError | None = None) -> None:
        with self._lock:
            self._note(capture, error)

    def _note(self, capture: CaptureState, error: SourceError | None = None) -> None:
        """Set the capture state and log it if it is news; the lock is held."""
        self.capture = capture
        if capture == self._logged:
            return
        self._logged = capture
        if capture == "ok":
            log.info("microphone %r delivers sound again", self.name)
        else:
            reason = FAULTS[capture]
            if capture == "zeros" and self.meter.fault:
                reason = f"delivers exact zeros as the mean of its channels; {self.meter.todo}"
            log.warning("microphone %r %s%s", self.name, reason, f": {error}" if error else "")

    def _raise_if_hung(self) -> None:
        since_s = self._calling_since_s
        if since_s is not None and time.monotonic() - since_s > HUNG_S:
            raise SourceError(
                f"PortAudio has not answered for {HUNG_S:.0f} s while reopening microphone {self.name!r}; "
                "restart the device"
            )
