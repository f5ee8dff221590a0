"""Ticks are at round local times, and tell the hour that comes twice apart."""

from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from server.query.time_range import Range
from server.rest.time_axis import ticks, zone_names

ROME = ZoneInfo("Europe/Rome")


def between(start: str, end: str) -> Range:
    """Return a range of two times, RFC 3339."""
    return Range(*(round(datetime.fromisoformat(at).timestamp() * 1000) for at in (start, end)))


def labels(start: str, end: str, zone: tzinfo = ROME) -> list[str]:
    """Return what the ticks of a range say."""
    return [tick.label for tick in ticks(between(start, end), zone)]


def test_the_night_when_clocks_go_back_has_its_hour_twice() -> None:
    """02:00 and 02:30 are there in summer and in winter time, each with its zone, half an hour apart."""
    night = between("2026-10-25T01:00:00+02:00", "2026-10-25T04:00:00+01:00")
    found = ticks(night, ROME)
    assert [tick.label for tick in found] == [
        *["01:00\nCEST", "01:30", "02:00\nCEST", "02:30\nCEST", "02:00\nCET", "02:30\nCET", "03:00", "03:30", "04:00"]
    ]
    assert {later.at - tick.at for tick, later in pairwise(found)} == {1_800_000}
    assert zone_names(night, ROME) == "CEST and CET"


def test_the_night_when_clocks_go_forward_has_an_hour_less() -> None:
    """After 01:00 in winter time comes 03:00 in summer time, an hour later."""
    found = ticks(between("2026-03-29T00:00:00+01:00", "2026-03-29T05:00:00+02:00"), ROME)
    assert [tick.label for tick in found] == [
        *["29 Mar\nCET", "00:30", "01:00", "01:30", "03:00\nCEST", "03:30", "04:00", "04:30", "05:00"]
    ]
    assert {later.at - tick.at for tick, later in pairwise(found)} == {1_800_000}


@pytest.mark.parametrize(
    ("start", "end", "zone", "expected"),
    [
        ("2026-07-01T12:00:00Z", "2026-07-01T12:00:03Z", UTC, "12:00:00|12:00:01|12:00:02|12:00:03"),
        ("2026-07-01T21:00:00Z", "2026-07-02T03:00:00Z", UTC, "21:00|22:00|23:00|2 Jul|01:00|02:00|03:00"),
        ("2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z", ROME, "12:00\nCEST|25 Oct|12:00\nCET|26 Oct|12:00|27 Oct"),
        ("2026-10-23T00:00:00Z", "2026-10-30T00:00:00Z", ROME, "24 Oct|25 Oct|26 Oct|27 Oct|28 Oct|29 Oct|30 Oct"),
        ("2025-10-15T00:00:00Z", "2026-03-15T00:00:00Z", UTC, "Nov 2025|Dec 2025|Jan 2026|Feb 2026|Mar 2026"),
        ("2020-06-01T00:00:00Z", "2026-06-01T00:00:00Z", UTC, "2021|2022|2023|2024|2025|2026"),
        (
            "2026-07-01T12:00:00Z",
            "2026-07-01T14:00:00Z",
            ZoneInfo("Asia/Kathmandu"),
            "17:45|18:00|18:15|18:30|18:45|19:00|19:15|19:30|19:45",
        ),
    ],
)
def test_ticks_are_round_local_times(start: str, end: str, zone: tzinfo, expected: str) -> None:
    """Seconds, hours, days, months and years stand where the local clock and calendar turn."""
    assert "|".join(labels(start, end, zone)) == expected


@pytest.mark.parametrize("zone", ["America/St_Johns", "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago", "UTC"])
@pytest.mark.parametrize("hours", [0.001, 1, 5, 26, 200, 3000, 24 * 400, 24 * 20_000])
def test_every_range_has_few_ticks_in_order(zone: str, hours: float) -> None:
    """Ticks are few and in order, also where the clock changes at midnight or by half an hour."""
    end = 1_796_000_000_000
    found = [tick.at for tick in ticks(Range(round(end - hours * 3_600_000), end), ZoneInfo(zone))]
    assert found == sorted(set(found))
    assert len(found) <= 12
