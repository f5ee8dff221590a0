"""Listens to a microphone through PortAudio, and sees to it that sound goes on coming."""

import atexit
import logging
import sys
import threading
import time
from typing import Any

from broker.messages import CaptureState
from common.backoff import Backoff
from device.audio.alsa_cards import cards
from device.audio.capture import CapturedBlock, CaptureQueue, CaptureStream
from device.audio.capture_faults import LossTracker, StuckDetector
from device.audio.conversion import Converter, mono
from device.audio.input_devices import ID_KINDS, InputDevice, choose, find_again, inputs, table
from device.audio.source import Block, SourceError

log = logging.getLogger(__name__)

CHECK_S = 0.5
STEADY_S = 10.0
"""A stream that has delivered for so long is well again: the next fault begins with short pauses."""
HUNG_S = 30.0
"""PortAudio that does not return for so long never will: with some drivers it hangs when a card is unplugged.

Shorter than the watchdog of the systemd unit waits, which would end the device without a word why.
"""
CLOSING_S = 2.0
WRONG = {
    "zeros": "delivers exact zeros; is it muted or switched off?",
    "flat": "delivers one value all the time; its input may be broken",
    "stalled": "is there but delivers nothing",
    "missing": "is not there; it is waited for, and no other is taken instead",
}


class Microphone:
    """One microphone, opened again with growing pauses whenever it stops delivering; one in a process at a time.

    Every later opening must find the input that was chosen first, at whatever index and card number it is by then; a
    setting that is a stable id is followed as it is. After the first opening one thread makes all calls into
    PortAudio, so that one that hangs stops nobody else.

    Raises:
        SourceError: PortAudio is missing, or the microphone is not there or cannot be opened.
    """

    def __init__(self, wanted: str) -> None:
        self._sounddevice = portaudio()
        self._wanted = wanted
        self._input: InputDevice | None = None
        self._pieces = CaptureQueue()
        self._converter: Converter | None = None
        self._same = StuckDetector()
        self._losses = LossTracker()
        self._tries = Backoff(1.0, 30.0)
        # A switch on the microphone gives exact zeros too, and then opening it again helps nobody.
        self._same_tries = Backoff(60.0, 3_600.0)
        self._same_try_s: float | None = None
        self._calling_since_s: float | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.name = ""
        self.capture: CaptureState = "ok"
        self._told: CaptureState = "ok"
        self.reopened = 0
        self._stream: CaptureStream | None = None
        self._stream = self._open(self._resolve())
        self._keeper = threading.Thread(target=self._keep, name="microphone", daemon=True)
        self._keeper.start()

    @property
    def dropped_blocks(self) -> int:
        """Blocks of a tenth of a second that nobody took in time, or that PortAudio says were lost."""
        return self._pieces.dropped

    @property
    def id(self) -> str:
        """What to choose it by to get this one again: its best stable id, or else its name."""
        assert self._input is not None, "opened by the constructor"
        return self._input.label

    def read(self) -> Block | None:
        """Wait for the next block, however long the microphone is away; None when closed.

        Raises:
            SourceError: PortAudio hangs, which only a new process can cure.
        """
        after_gap = False
        while not self._closed.is_set():
            piece = self._pieces.get(CHECK_S)
            if piece is None:
                self._raise_if_hung()
                continue
            after_gap |= piece.after_gap
            samples = mono(piece.captured)
            self._judge(piece, self._same.push(samples, piece.stream.chain.rate_hz))
            if self._converter is None or piece.after_gap:
                self._converter = Converter(piece.stream.chain.rate_hz)
            samples = self._converter.push(samples)
            if len(samples) > 0:
                return Block(samples, piece.end_ms - round(self._converter.held_back_ms), after_gap)
        return None

    def close(self) -> None:
        """Stop listening; may be called from a signal handler, and more than once."""
        self._closed.set()
        self._pieces.wake()
        self._keeper.join(CLOSING_S)
        if self._keeper.is_alive():  # it hangs in PortAudio, and so would the library's own clean-up at exit
            atexit.unregister(self._sounddevice._exit_handler)  # noqa: SLF001 - there is no public way

    def _resolve(self) -> InputDevice:
        found = present(self._sounddevice)
        if self._input is None or self._wanted.startswith(ID_KINDS):
            return choose(self._wanted, found, default_index(self._sounddevice))
        return find_again(self._input, found)

    def _open(self, found: InputDevice) -> CaptureStream:
        stream = CaptureStream(self._sounddevice, found, self._pieces)
        by = found.label if found.ids else "its name only"
        log.info("listening to %r, known by %s: %s", found.name, by, stream.chain)
        self._input, self.name = found, found.name
        return stream

    def _keep(self) -> None:
        """Look after the stream until closed."""
        pause_s = CHECK_S
        while not self._closed.wait(pause_s):
            pause_s = self._look_after()
        self._close_stream()

    def _look_after(self) -> float:
        """Open the stream again if it needs that, and return how long to wait before the next look."""
        now_s = time.monotonic()
        if sentence := self._losses.push(self._pieces.dropped, now_s):
            log.warning("microphone %r: %s", self.name, sentence)
        stream = self._stream
        if stream is None or not stream.lives:
            self._open_again()
            return self._tries.next_s()
        if stream.delivered_s > STEADY_S:
            self._tries.reset()
        if self.capture not in {"zeros", "flat"}:
            self._same_tries.reset()
            self._same_try_s = None
        elif self._same_try_s is None:
            self._same_try_s = now_s + self._same_tries.next_s()
        elif now_s >= self._same_try_s:
            self._same_try_s = now_s + self._same_tries.next_s()
            self._open_again()
        return CHECK_S

    def _open_again(self) -> None:
        """Close, let PortAudio look for devices anew, find the same microphone and open it; say what fails."""
        self._calling_since_s = time.monotonic()
        try:
            self._close_stream()  # may hang, and until more is known the microphone stalls
            rescan(self._sounddevice)
            found = self._resolve()
        except SourceError as error:
            self._report("missing", error)
        else:
            try:
                self._stream = self._open(found)
                self.reopened += 1
                self._report(self.capture)
            except SourceError as error:
                self._report("stalled", error)
        finally:
            self._calling_since_s = None

    def _close_stream(self) -> None:
        with self._lock:
            stream, self._stream = self._stream, None
            if stream is not None and not stream.lives:
                self.capture = "stalled"
        if stream is not None:
            stream.close()

    def _judge(self, piece: CapturedBlock, fact: CaptureState) -> None:
        """Report what samples tell, unless they waited in the queue while their stream ended."""
        with self._lock:
            if piece.stream is self._stream:
                self._tell(fact)

    def _report(self, capture: CaptureState, error: SourceError | None = None) -> None:
        with self._lock:
            self._tell(capture, error)

    def _tell(self, capture: CaptureState, error: SourceError | None = None) -> None:
        """Note how the capture is, and log it if that is news."""
        self.capture = capture
        told, self._told = self._told, capture
        if capture == told:
            return
        if capture == "ok":
            log.info("microphone %r delivers sound again", self.name)
        else:
            log.warning("microphone %r %s%s", self.name, WRONG[capture], f": {error}" if error else "")

    def _raise_if_hung(self) -> None:
        since_s = self._calling_since_s
        if since_s is not None and time.monotonic() - since_s > HUNG_S:
            raise SourceError(
                f"PortAudio has not answered for {HUNG_S:.0f} s when microphone {self.name!r} was to be opened again; "
                "the device must be started again"
            )


def listing() -> str:
    """Return the microphones that PortAudio finds, with their stable ids.

    Raises:
        SourceError: PortAudio is missing.
    """
    return table(present(portaudio()))


def present(sounddevice: Any) -> list[InputDevice]:
    """Return the inputs that were there when PortAudio last looked, with what the kernel knows of their cards."""
    return inputs(sounddevice.query_devices(), cards())


def default_index(sounddevice: Any) -> int:
    """Return the index of PortAudio's default input, -1 if there is none."""
    try:
        return int(sounddevice.query_devices(kind="input")["index"])
    except sounddevice.PortAudioError:
        return -1


def rescan(sounddevice: Any) -> None:
    """Let PortAudio look for devices anew, which it does only when it starts; no stream may be open.

    Raises:
        SourceError: it does not start.
    """
    try:
        while sounddevice._initialized:  # noqa: SLF001 - its documentation names these two for this purpose
            sounddevice._terminate()  # noqa: SLF001
        sounddevice._initialize()  # noqa: SLF001
    except sounddevice.PortAudioError as error:
        raise SourceError(f"PortAudio does not start: {error}") from error


def portaudio() -> Any:
    """Return the sounddevice module, knowing the devices that are there now.

    Imported late, because it needs a system library that clips do not.

    Raises:
        SourceError: the library is missing.
    """
    known = "sounddevice" in sys.modules
    try:
        import sounddevice  # noqa: PLC0415
    except OSError as error:
        raise SourceError(
            "PortAudio is missing; install it (Debian, Raspberry Pi OS: apt install libportaudio2), "
            "or play files with --clips"
        ) from error
    if known:
        rescan(sounddevice)
    return sounddevice
