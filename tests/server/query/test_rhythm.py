"""Hours and weekdays are those of the viewer's clock."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from clients import Client
from records import DEVICE, reading

from server.query.rhythm import rhythm
from server.query.time_range import Range


@pytest.mark.parametrize(
    ("zone", "weekday", "hour"),
    [("UTC", 6, 23), ("Africa/Lagos", 0, 0), ("Asia/Kathmandu", 0, 5), ("America/Phoenix", 6, 16)],
)
def test_a_reading_counts_in_the_hour_of_the_zone(client: Client, zone: str, weekday: int, hour: int) -> None:
    """Sunday 23:20 in UTC is Monday in Lagos, and 05:05 in Kathmandu, which is no whole hours away."""
    day = datetime.fromtimestamp(client.store.now() / 1000, UTC).replace(hour=23, minute=20, second=0, microsecond=0)
    at = round(day.timestamp() * 1000) - (day.isoweekday() % 7 or 7) * 86_400_000
    client.store.write(
        [
            (DEVICE, reading(0, at)),
            (DEVICE, reading(1, at + 1)),
            (DEVICE, reading(2, at + 2, state="uncertain")),
        ]
    )

    found = rhythm(client.store, DEVICE, Range(at - 86_400_000, at + 86_400_000), ZoneInfo(zone))

    assert (found.readings.sum(), found.readings[weekday, hour]) == (3, 3)
    assert found.uncertain[weekday, hour] == 1
    assert {label: int(won[weekday, hour]) for label, won in found.won.items()} == {"ANG": 2, "HAP": 0, "NEU": 0}


def test_the_hour_that_comes_twice_is_one_hour_of_the_week(client: Client) -> None:
    """In the night when clocks go back, both hours from 2 to 3 count at 2 on Sunday."""
    back = 1_792_890_000_000  # 2026-10-25T01:00:00Z
    if back > client.store.now():
        pytest.skip("that night is still to come")
    client.store.write([(DEVICE, reading(seq, at)) for seq, at in enumerate((back - 60_000, back + 60_000))])

    found = rhythm(client.store, DEVICE, Range(back - 3_600_000, back + 3_600_000), ZoneInfo("Europe/Rome"))

    assert found.readings[6, 2] == 2
