"""Levels in dB relative to full scale."""

import pytest

from common.level import FLOOR_DBFS, to_dbfs


@pytest.mark.parametrize(("power", "level"), [(1.0, 0.0), (0.25, -6.02), (1e-20, FLOOR_DBFS), (0.0, FLOOR_DBFS)])
def test_a_power_becomes_a_level(power: float, level: float) -> None:
    """Digital silence has the lowest level, not minus infinity."""
    assert to_dbfs(power) == pytest.approx(level, abs=0.01)
