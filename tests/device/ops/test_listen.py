"""Some seconds of sound, and what is measured in them."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from diagnoses import noise
from patience import REPLY_S

from device.audio.source import Block
from device.ops.listen import listen, measure
from models.frontend import Samples
from models.runtime import synthetic_clip


class Blocks:
    """A source of equal blocks; without blocks left it is silent until it is closed."""

    name, id, capture, dropped_blocks, reopened = "blocks", None, "ok", 0, 0

    def __init__(self, samples: Samples, count: int) -> None:
        self._blocks: Iterator[Block] = (Block(samples, 0) for _ in range(count))
        self.closed = threading.Event()

    def read(self) -> Block | None:
        """Return the next block; None after `close`."""
        block = next(self._blocks, None)
        if block is None:
            assert self.closed.wait(REPLY_S)
        return block

    def close(self) -> None:
        """End a read that waits."""
        self.closed.set()


def test_as_much_is_heard_as_was_asked_for() -> None:
    """The last block is cut, and the source is closed."""
    source = Blocks(np.ones(1_600, np.int16), 30)

    assert len(listen(source, 0.25)) == 4_000
    assert source.closed.is_set()


def test_a_source_that_delivers_nothing_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while the source is closed, and what has come until then is returned."""
    monkeypatch.setattr("device.ops.listen.GRACE_S", 0.0)

    assert len(listen(Blocks(np.ones(1_600, np.int16), 2), 0.25)) == 3_200


def test_steady_noise_is_measured() -> None:
    """Its level is found to half a decibel; it hardly spreads, does not clip and is no speech below the gate."""
    stats = measure(noise(-60), -50.0)

    assert stats.seconds == 2.0
    assert stats.median_dbfs == pytest.approx(-60, abs=0.5)
    assert stats.background_dbfs < stats.median_dbfs
    assert stats.spread_db < 2
    assert (stats.all_zeros, stats.clipped_ratio, stats.speech_ratio) == (False, 0.0, 0.0)


def test_speech_is_told_from_its_background() -> None:
    """Speech spreads, the gate opens for it, and between the words lies the background."""
    stats = measure(synthetic_clip(48_000), -50.0)

    assert stats.spread_db > 30
    assert stats.speech_ratio > 0.2
    assert stats.background_dbfs < stats.median_dbfs - 10


def test_faults_of_a_microphone_are_measured() -> None:
    """Exact zeros and samples at full scale are facts of their own."""
    clipped = np.full(16_000, 100, np.int16)
    clipped[:160] = 32_767

    assert measure(np.zeros(16_000, np.int16), -50.0).all_zeros
    assert measure(clipped, -50.0).clipped_ratio == 0.01


def test_too_little_sound_is_refused() -> None:
    """Less than half a second says nothing about a room."""
    with pytest.raises(ValueError, match=r"only 0.4 s of sound came; at least half a second is needed"):
        measure(noise(-60)[:6_400], -50.0)
