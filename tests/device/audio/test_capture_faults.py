"""Constant values and losses of sound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.audio.capture_faults import LOSS_FREE_S, ConstantDetector, LossTracker
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
    """Zeros are told from other values, and one different sample ends the fault."""
    assert ConstantDetector().push(sound, RATE_HZ) == fact


@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(0, 400)), max_size=6), st.integers(1, 200))
def test_a_fault_does_not_depend_on_the_block_size(runs: list[tuple[int, int]], size: int) -> None:
    """However the sound is cut, the state at its end is the same."""
    sound = np.repeat([value for value, _ in runs], [count for _, count in runs]).astype(np.int16)
    whole, cut = ConstantDetector(), ConstantDetector()

    facts = [cut.push(sound[start : start + size], RATE_HZ) for start in range(0, len(sound), size)] or ["ok"]

    assert facts[-1] == whole.push(sound, RATE_HZ)


def test_a_spell_of_losses_is_logged_when_it_begins_and_when_it_ends() -> None:
    """Losses in between are not logged, the next spell is."""
    losses = LossTracker()

    told = [losses.push(total, at_s) for at_s, total in enumerate([0, 2, 5, 5, 6])]
    over = losses.push(6, 4 + LOSS_FREE_S)

    assert [sentence is not None for sentence in told] == [False, True, False, False, False]
    assert over == "no sound lost for 60 s; 6 blocks were lost before"
    assert losses.push(6, 5 + LOSS_FREE_S) is None
    assert losses.push(7, 6 + LOSS_FREE_S) is not None
