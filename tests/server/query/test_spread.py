"""The middle half of the readings of a step."""

import numpy as np
import pytest
from clients import Client
from records import DEVICE, reading

from server.query.series import grid
from server.query.spread import spread
from server.query.time_range import Range


@pytest.mark.parametrize("step_ms", [30_000, 60_000, 3_600_000])
def test_quartiles_come_from_single_readings_and_from_rollups(client: Client, step_ms: int) -> None:
    """Of readings from 0.05 to 0.95 the middle half is 0.25 to 0.75; one alone has no spread; a gap has none."""
    hour = client.store.now() // 3_600_000 * 3_600_000 - 2 * 3_600_000
    scores = [*(place / 20 for place in range(1, 20, 2)), 0.42]
    times = [*(hour + place for place in range(10)), hour + 2 * step_ms if step_ms < 3_600_000 else hour + step_ms]
    client.store.write(
        [
            (DEVICE, reading(seq, at, scores={"ANG": score, "NEU": 1 - score}))
            for seq, (at, score) in enumerate(zip(times, scores, strict=True))
        ]
    )
    series = grid(client.store, DEVICE, Range(hour, hour + 2 * 3_600_000), step_ms)

    low, high = spread(client.store, DEVICE, series)["ANG"]

    assert (low[0], high[0]) == (pytest.approx(0.25), pytest.approx(0.75))
    assert (low[-1], high[-1]) == (0.42, 0.42)
    assert np.isnan(low[1:-1]).all()
