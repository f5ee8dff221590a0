"""Failures are counted for each address, and strangers can neither fill the log nor the memory with them."""

import logging

import pytest

from common import throttle
from common.throttle import Throttle

log = logging.getLogger("moodwire.test")


def test_an_address_waits_after_too_many_failures_and_others_do_not() -> None:
    """Failures are forgotten one by one, a minute after they came."""
    now_s = [0.0]
    failures = Throttle(log, "a try", lambda: now_s[0])
    for second in range(throttle.TRIES):
        now_s[0] = second
        failures.fail("192.0.2.1")

    assert failures.wait_s("192.0.2.1") == 51
    assert failures.wait_s("192.0.2.2") == 0
    now_s[0] = 60.0
    assert failures.wait_s("192.0.2.1") == 0


def test_a_machine_with_many_addresses_is_one() -> None:
    """Whoever has an IPv6 address has a network of them."""
    failures = Throttle(log, "a try")
    for number in range(throttle.TRIES):
        failures.fail(f"2001:db8::{number}")

    assert failures.wait_s("2001:db8::ffff") > 0
    assert failures.wait_s("2001:db8:0:1::1") == 0
    assert failures.wait_s("no address") == 0


def test_few_lines_are_logged_and_few_addresses_kept(caplog: pytest.LogCaptureFixture) -> None:
    """An address has a line for its first failure and one when it must wait; floods have a hundred lines a minute."""
    now_s = [0.0]
    failures = Throttle(log, "a try", lambda: now_s[0])
    for _ in range(throttle.TRIES):
        failures.fail("192.0.2.1")
    assert [record.getMessage() for record in caplog.records] == [
        "refused a try from 192.0.2.1; 1 since the start",
        "refused a try from 192.0.2.1; 10 since the start",
    ]

    for number in range(20_000):
        failures.fail(f"10.0.{number // 256}.{number % 256}")
    assert (len(caplog.records), len(failures._failed)) == (100, 10_000)
    now_s[0] = throttle.TRIES_S
    failures.fail("192.0.2.2")
    assert caplog.records[-1].getMessage() == "refused a try from 192.0.2.2; 20011 since the start"
