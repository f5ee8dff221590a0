"""A device that is killed at random moments loses nothing; `trials.device_kills` does the same at length."""

import time
from pathlib import Path

import pytest

from trials.device_kills import kill

pytestmark = pytest.mark.slow


def test_a_device_that_is_killed_again_and_again_loses_nothing_and_nothing_is_stored_twice(tmp_path: Path) -> None:
    """Each record that was in an outbox after a kill, or on the wire, is in the store exactly once."""
    seed = time.time_ns()
    print(f"seed {seed}")

    verdicts = kill(tmp_path, kills=2, devices=3, seed=seed)

    assert [verdict.kills for verdict in verdicts] == [2, 2, 2]
    assert all(verdict.seen > 0 for verdict in verdicts)
    assert [(verdict.lost, verdict.twice) for verdict in verdicts] == [(0, 0)] * 3
