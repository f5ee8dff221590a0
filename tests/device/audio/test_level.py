"""Levels relative to full scale."""

import numpy as np
import pytest

from common.level import FLOOR_DBFS
from device.audio.level import count_clipped, level_dbfs


def test_level_of_silence_is_the_floor_never_full_scale() -> None:
    """Digital silence is -120 dBFS, and so is a constant offset; full scale is 0."""
    assert level_dbfs(np.zeros(100, np.int16)) == FLOOR_DBFS
    assert level_dbfs(np.empty(0, np.int16)) == FLOOR_DBFS
    assert level_dbfs(np.full(100, 3_277, np.int16)) == FLOOR_DBFS
    square = np.tile(np.array([-1, 1], np.int16), 50)
    assert level_dbfs(square * np.int16(32_767)) == pytest.approx(0, abs=0.001)
    assert level_dbfs(square * np.int16(3_277) + np.int16(328)) == pytest.approx(-20, abs=0.01)


def test_clipping_counts_both_ends() -> None:
    """Samples at either end of the scale count, others do not."""
    assert count_clipped(np.array([32_767, -32_768, 32_766, 0], np.int16)) == 2
