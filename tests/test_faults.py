"""Store, broker, ingest and the network between them fail under load; `trials.faults` does the same at length."""

import random
import time
from pathlib import Path

import pytest

from trials import faults

pytestmark = pytest.mark.slow


def test_every_record_is_found_once_whatever_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all faults one after the other, all that devices sent is confirmed and stored, and counted once."""
    for name, seconds in {"BEFORE_S": 0.5, "AFTER_S": 0.2, "DOWN_S": 0.2, "HALTED_S": 1.0, "CUT_S": 1.0}.items():
        monkeypatch.setattr(faults, name, seconds)
    seed = time.time_ns()
    print(f"seed {seed}")
    system = faults.System(tmp_path, random.Random(seed))
    try:
        count = faults.suffer(system, 0, faults.everything)
    finally:
        system.stop()
    assert count.sent > 0
    assert (count.stored, count.lost, count.doubled) == (count.sent, 0, 0)
