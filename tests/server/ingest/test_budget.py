"""Budgets of devices: an honest one never reaches them, a flood does at once, and each device has its own."""

from server.ingest.budget import Budgets


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now_s


def test_a_device_with_a_long_backlog_stays_within_its_budget() -> None:
    """Five messages of 100 records a second, a reading each second and a status now and then are all taken."""
    clock = Clock()
    budgets = Budgets(clock)
    for second in range(1_500):
        clock.now_s = second
        for _ in range(5):
            assert budgets.allow("a", "reading", 35_000)
            assert budgets.allow_records("a", 100)
        assert budgets.allow("a", "reading", 350)
        if second % 20 == 0:
            assert budgets.allow("a", "status", 400)
        if second % 60 == 0:
            assert budgets.allow("a", "health", 600)


def test_a_flood_is_held_back_and_harms_no_other_device() -> None:
    """Of an endless stream so much is taken as the budget says; the next device has its own."""
    clock = Clock()
    budgets = Budgets(clock)
    taken = sum(budgets.allow("a", "reading", 400) for _ in range(50_000))
    assert taken == 4_000
    assert sum(budgets.allow("b", "status", 400) for _ in range(1_000)) == 30
    assert sum(budgets.allow("c", "health", 60_000) for _ in range(1_000)) == 12
    assert sum(budgets.allow_records("d", 100) for _ in range(10_000)) == 200
    assert sum(budgets.allow("e", "reading", 65_536) for _ in range(1_000)) == 122
    assert budgets.allow("f", "reading", 400)
    clock.now_s = 1
    assert budgets.allow("a", "reading", 400)


def test_over_months_a_device_fills_the_store_slowly() -> None:
    """Whoever sends as much as he can for a day has a week's backlog and ten records a second stored, no more."""
    clock = Clock()
    budgets = Budgets(clock)
    taken = 0
    for _ in range(86_400):
        clock.now_s += 1
        while budgets.allow_records("a", 500):
            taken += 500
    assert 1_800_000 < taken <= 1_000_000 + 10 * 86_400
