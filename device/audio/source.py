"""Sources of sound: what a microphone and a clip player have in common."""

from typing import NamedTuple, Protocol

from broker.messages import CaptureState
from common.channels import ChannelMeter
from models.frontend import Samples

SAMPLE_RATE_HZ = 16_000


class Block(NamedTuple):
    """Consecutive mono samples at 16 kHz, int16, shape (samples,)."""

    samples: Samples
    end_ms: int
    """When its last sample ends, by `clock.monotonic_ms`."""
    after_gap: bool = False
    """Whether sound is missing between the previous block and this one."""


class Source(Protocol):
    """Where sound comes from."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def id(self) -> str:
        """What reopens this very source: see `open_source`."""

    @property
    def dropped_blocks(self) -> int:
        """Blocks lost so far because nobody read them in time."""

    @property
    def capture(self) -> CaptureState:
        """Whether sound comes in; never `paused`."""

    @property
    def reopened(self) -> int:
        """How often the source has reopened its device by itself."""

    @property
    def meter(self) -> ChannelMeter:
        """Levels of the channels that it captures, and whether their mean loses sound."""

    def read(self) -> Block | None:
        """Wait for the next block and return it; None at the end and after `close`.

        Raises:
            SourceError: no more sound can come until the process restarts.
        """

    def close(self) -> None:
        """Stop, and end a `read` that waits; safe in any thread and more than once."""


class SourceError(Exception):
    """A source cannot be opened or read; the message names it and says what to do."""
