"""Sources of sound: what a microphone and a clip player have in common."""

from typing import NamedTuple, Protocol

from broker.messages import CaptureState
from models.frontend import Samples

SAMPLE_RATE_HZ = 16_000


class Block(NamedTuple):
    """Some mono samples at 16 kHz."""

    samples: Samples
    end_ms: int
    """Time of the end of its last sample, by `clock.monotonic_ms`."""
    after_gap: bool = False
    """Whether sound is missing between the block before and this one."""


class Source(Protocol):
    """Where sound comes from."""

    @property
    def name(self) -> str:
        """What is listened to, for people."""

    @property
    def id(self) -> str:
        """What to ask for to get this very one again."""

    @property
    def dropped_blocks(self) -> int:
        """Blocks that were lost because nobody took them in time."""

    @property
    def capture(self) -> CaptureState:
        """Whether sound comes in."""

    @property
    def reopened(self) -> int:
        """How often the device had to be opened again."""

    def read(self) -> Block | None:
        """Wait for the next block and return it; None when there will be no more.

        Raises:
            SourceError: no more sound can come until the process starts again.
        """

    def close(self) -> None:
        """Stop; a waiting `read` returns None."""


class SourceError(Exception):
    """A source cannot be opened; the text names it and says what would be right."""
