"""What samples alone tell of a fault, how losses are told, and what a full queue drops."""

from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.audio.capture import QUEUE_BLOCKS, CapturedBlock, CaptureQueue, CaptureStream
from device.audio.capture_faults import QUIET_S, LossTracker, StuckDetector
from models.frontend import Samples

RATE_HZ = 100
NOISE = np.tile(np.array([3, -2, 1, 0, -1], np.int16), 20)


def of(value: int, seconds: float) -> Samples:
    """Return one value for some seconds."""
    return np.full(round(seconds * RATE_HZ), value, np.int16)


@pytest.mark.parametrize(
    ("sound", "fact"),
    [
        (NOISE, "ok"),
        (of(0, 2.99), "ok"),
        (of(0, 3), "zeros"),
        (of(-7, 3), "flat"),
        (np.concatenate((of(0, 9), of(1, 0.01))), "ok"),
        (np.concatenate((NOISE, of(5, 3))), "flat"),
        (np.concatenate((of(0, 9), of(5, 2.9))), "ok"),
        (np.empty(0, np.int16), "ok"),
    ],
)
def test_one_value_for_three_seconds_is_a_fault(sound: Samples, fact: str) -> None:
    """Zeros and other values are told apart, and one other sample ends it."""
    assert StuckDetector().push(sound, RATE_HZ) == fact


@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(0, 400)), max_size=6), st.integers(1, 200))
def test_the_fact_does_not_depend_on_the_block_size(runs: list[tuple[int, int]], size: int) -> None:
    """However the sound is cut, the same is known at its end."""
    sound = np.repeat([value for value, _ in runs], [count for _, count in runs]).astype(np.int16)
    whole, cut = StuckDetector(), StuckDetector()

    facts = [cut.push(sound[start : start + size], RATE_HZ) for start in range(0, len(sound), size)] or ["ok"]

    assert facts[-1] == whole.push(sound, RATE_HZ)


def test_losses_are_told_once_when_they_begin_and_once_when_they_end() -> None:
    """However many there are between, and again for the next spell."""
    losses = LossTracker()

    told = [losses.push(total, at_s) for at_s, total in enumerate([0, 2, 5, 5, 6])]
    over = losses.push(6, 4 + QUIET_S)

    assert [sentence is not None for sentence in told] == [False, True, False, False, False]
    assert over == "no sound has been lost for 60 s; 6 blocks were"
    assert losses.push(6, 5 + QUIET_S) is None
    assert losses.push(7, 6 + QUIET_S) is not None


def test_a_full_queue_drops_all_that_waits_as_one_gap_and_counts_it() -> None:
    """So that a pipeline which is too slow still gets long stretches without a gap."""
    pieces = CaptureQueue()
    silence = np.zeros((1, 1), np.int16)
    for number in range(QUEUE_BLOCKS + 3):
        pieces.put(CapturedBlock(silence, number, after_gap=number == 0, stream=cast("CaptureStream", None)))

    left = [pieces.get(0) for _ in range(3)]

    assert pieces.dropped == QUEUE_BLOCKS
    assert [(piece.end_ms, piece.after_gap) for piece in left if piece] == [
        (QUEUE_BLOCKS, True),
        (QUEUE_BLOCKS + 1, False),
        (QUEUE_BLOCKS + 2, False),
    ]
    assert pieces.get(0) is None
