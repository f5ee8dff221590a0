"""An outage is one line in the log when it begins and one when it ends."""

import logging

import pytest

from common.outage import Outage

log = logging.getLogger("outages")


def test_an_outage_is_logged_once_each_way(caplog: pytest.LogCaptureFixture) -> None:
    """Tries between are not logged, and what was never lost is not said to be back."""
    caplog.set_level(logging.INFO, "outages")
    outage = Outage(log)

    outage.end("%s is back", "never lost")
    for number in range(3):
        outage.begin("try %d failed", number)
    assert outage.is_on
    outage.end("%s is back", "the store")
    outage.end("%s is back", "the store")
    assert not outage.is_on
    outage.begin("try %d failed", 9)

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "try 0 failed"),
        ("INFO", "the store is back"),
        ("WARNING", "try 9 failed"),
    ]
