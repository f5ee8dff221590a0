"""What heard records say about the microphone and the room."""

import pytest
from clients import URL, Client
from records import DEVICE, heard

from server.query.signal import signal
from server.query.time_range import Range

MINUTE = 60_000


def test_level_clipping_and_distance_are_means_and_losses_are_sums(client: Client) -> None:
    """Paused minutes have no level; minutes without speech have no distance; what is missing is a gap."""
    start = client.store.now() // 3_600_000 * 3_600_000 - 3_600_000
    told = [
        heard(0, start + MINUTE, level_dbfs=-30.0, clipping=0.01, snr_db=20.5, silent=10, speech=50, dropped=2),
        heard(1, start + 2 * MINUTE, level_dbfs=-50.0, dropped=1),
        heard(2, start + 3 * MINUTE, windows=0, silent=0, paused=True, level_dbfs=-120.0),
        heard(3, start + 6 * MINUTE, level_dbfs=-40.0, snr_db=0.0, clipping=1.0),
    ]
    client.store.write([(DEVICE, record) for record in told])

    each = signal(client.store, DEVICE, Range(start, start + 10 * MINUTE), MINUTE)
    together = client.get(f"{URL}/signal?start={start / 1000}&end={start / 1000 + 1200}&step=10m")

    assert each.timestamps.tolist() == [start + minute * MINUTE for minute in range(6)]
    nan = pytest.approx(float("nan"), nan_ok=True)
    assert each.level_dbfs.tolist() == [-30, -50, nan, nan, nan, -40]
    assert each.snr_db.tolist() == [20.5, nan, nan, nan, nan, 0]
    assert each.clipping.tolist() == [0.01, 0, nan, nan, nan, 1]
    assert (together["level_dbfs"], together["dropped"], together["windows"]) == ([-40], [3], [180])
    assert (together["snr_db"], together["clipping"], together["silent"]) == ([10.2], [0.336667], [130])
