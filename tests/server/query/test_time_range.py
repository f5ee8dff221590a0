"""Times, ranges and steps of requests."""

from http import HTTPStatus

import pytest

from server.errors import ProblemError
from server.query.time_range import MOST_POINTS, Range, parse_range, parse_step, parse_time, points, rfc3339

DAY_MS = 86_400_000
NOW = 1_796_000_000_000


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ("2026-10-25t00:59:59z", "2026-10-25T00:59:59.000Z"),
        ("2026-10-25 00:59:59Z", "2026-10-25T00:59:59.000Z"),
        ("2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00.000Z"),
        ("2026-10-25T02:30:00 02:00", "2026-10-25T00:30:00.000Z"),  # a query's plus
        ("2026-10-25T02:30:00-00:00", "2026-10-25T02:30:00.000Z"),
        ("2026-10-25T00:00:00+23:59", "2026-10-24T00:01:00.000Z"),
        ("2026-10-25T00:00:00-23:59", "2026-10-25T23:59:00.000Z"),
        ("2026-10-25T02:30Z", "2026-10-25T02:30:00.000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
        ("2016-12-31T15:59:60.5-08:00", "2017-01-01T00:00:00.500Z"),
        ("2026-10-25T02:30:00.123456789Z", "2026-10-25T02:30:00.123Z"),
        ("1.5", "1970-01-01T00:00:01.500Z"),
        ("1.7964e9", "2026-12-04T16:00:00.000Z"),
        (" 1", "1970-01-01T00:00:01.000Z"),
        ("-0", "1970-01-01T00:00:00.000Z"),
    ],
)
def test_every_form_of_a_time_is_read(given: str, at: str) -> None:
    """RFC 3339 in all its forms and Unix seconds name the same instants."""
    assert rfc3339(parse_time("start", given)) == at


@pytest.mark.parametrize(
    "given",
    [
        *[
            "nan",
            "inf",
            "-inf",
            "Infinity",
            "1e300",
            "-1",
            "-0.001",
            "253402300800",
            "1_000",
            "١٢٣",
            "0x10",
            "1e",
            "e5",
        ],
        *["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z"],
        *["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z", "2026-10-25T24:00:00Z"],
        *["2026-10-25T00:00:00+24:00", "2026-10-25T00:00:00+01:60", "2026-10-25T00:00:61Z", "2026-10-25T12:00:60Z"],
        *["2026-10-25T23:59:60+01:00", "2026-10-25", "2026-10-25T00:00:00", "٢٠٢٦-10-25T00:00:00Z", "yesterday", "\0"],
        *["2026-10-25T00:00:00Z ", "2026-10-25T00:00:00Z\n", "1\n", "Z", " ", "x" * 30_000, "9" * 5000],
    ],
)
def test_what_is_no_time_is_refused_in_a_sentence(given: str) -> None:
    """Each is a 400 whose sentence is short, on one line, and names the parameter."""
    with pytest.raises(ProblemError) as refused:
        parse_time("start", given)
    assert refused.value.status == HTTPStatus.BAD_REQUEST
    assert refused.value.detail.startswith("start '")
    assert refused.value.detail.isprintable()
    assert len(refused.value.detail) < 300


def test_an_end_far_in_the_future_is_now() -> None:
    """The year 9999 means up to now; the end of today stays as it is."""
    default = Range(NOW - 3_600_000, NOW)
    assert parse_range("0", "9999-12-31T23:59:59Z", default) == Range(0, NOW)
    assert parse_range("", "9999-12-31T23:59:59Z", default) == default
    assert parse_range("0", str(NOW / 1000 + 3600), default) == Range(0, NOW + 3_600_000)
    with pytest.raises(ProblemError, match="is not before end"):
        parse_range("", "0", default)
    with pytest.raises(ProblemError, match="is not before end"):
        parse_range("2100-01-01T00:00:00Z", "9999-12-31T23:59:59Z", default)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        *[(step, "is not a step") for step in ("0s", "00m", "-1m", "1e9s", "1.5h", "\u0661s", "1S", "s", "1", "1s\n")],
        *[(step, "is longer than 366 days") for step in ("367d", "999999999d", "9999999999s", "9" * 5000 + "d")],
    ],
)
def test_what_is_no_step_is_refused_in_a_sentence(given: str, sentence: str) -> None:
    """A step of none, of less, of ages, or in other digits is a 400 whose sentence is short."""
    with pytest.raises(ProblemError) as refused:
        parse_step(given, Range(NOW - DAY_MS, NOW), raw_is_kept=True)
    assert refused.value.status == HTTPStatus.BAD_REQUEST
    assert sentence in refused.value.detail
    assert len(refused.value.detail) < 300


@pytest.mark.parametrize("length_ms", [1, 1000, DAY_MS, 400 * DAY_MS, NOW])
def test_the_server_picks_a_step_for_every_range(length_ms: int) -> None:
    """Whatever the range, its points are few."""
    asked = Range(NOW - length_ms, NOW)
    assert points(asked, parse_step("", asked, raw_is_kept=True)) <= MOST_POINTS
    assert parse_step("366d", asked, raw_is_kept=True) == 366 * DAY_MS
