"""A fleet that loses its broker at once comes back one by one; `trials.reconnect_storm` does it in earnest."""

import pytest

from trials.reconnect_simulation import PATIENCE_S, TLS_PATIENCE_S, simulate

DEVICES = 10_000


@pytest.mark.parametrize("away_s", [0, 5, 120])
def test_ten_thousand_devices_are_back_within_two_minutes(away_s: float) -> None:
    """A broker that serves 300 connections a second is enough, with TLS too, however long it was away."""
    assert simulate(DEVICES, away_s, 300, PATIENCE_S).all_s <= 120
    assert simulate(DEVICES, away_s, 300, TLS_PATIENCE_S).all_s <= 120


def test_after_an_instant_without_a_broker_not_all_come_at_once() -> None:
    """The first pause spreads them: no second sees more than a quarter."""
    assert simulate(DEVICES, 0, 1e9, PATIENCE_S).most_tries_per_s <= DEVICES / 4


def test_after_an_outage_the_fleet_is_spread_over_a_minute() -> None:
    """Then no second sees more than twice its share of the tries."""
    found = simulate(DEVICES, 120, 1e9, PATIENCE_S)

    assert found.most_tries_per_s <= 2 * DEVICES / 30
    assert found.all_s <= 60
