"""Lines about what strangers send are limited for each of them, and what is left out is counted."""

from common.bucket import Limit
from common.log_limit import LogLimit


def test_lines_beyond_the_limit_are_counted() -> None:
    """Two lines come at once; later one a minute says how many were left out. Another key has lines of its own."""
    now_s = 0.0
    limit = LogLimit(Limit(1 / 60, 2), lambda: now_s)
    assert [limit.left_out("a") for _ in range(5)] == [0, 0, None, None, None]
    assert limit.left_out("b") == 0
    now_s = 61
    assert [limit.left_out("a") for _ in range(2)] == [3, None]


def test_endless_keys_take_no_endless_memory() -> None:
    """A flood of keys empties what is remembered."""
    limit = LogLimit(Limit(0, 1), lambda: 0.0)
    for key in range(30_000):
        limit.left_out(str(key))
    assert len(limit._buckets) <= 10_000
