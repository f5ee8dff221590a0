"""A bound of the tests grows with the load of the machine, and a wait still ends."""

import pytest
import services
from patience import WAIT_S, Patience


class Machine:
    """A machine with two cores whose time passes with each question."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        self.load = 0.1
        monkeypatch.setattr("os.cpu_count", lambda: 2)
        monkeypatch.setattr("os.getloadavg", lambda: (self.load, 0.0, 0.0))
        monkeypatch.setattr("time.monotonic", lambda: self.now_s)
        monkeypatch.setattr("time.sleep", self.pass_s)

    def pass_s(self, seconds: float) -> None:
        """Let time pass, much for each sleep."""
        self.now_s += 100 * seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine that is idle."""
    return Machine(monkeypatch)


@pytest.mark.parametrize(("load", "times"), [(0.1, 1), (2.0, 1), (8.0, 4), (30.0, 15)])
def test_a_bound_scales_with_the_load(machine: Machine, load: float, times: int) -> None:
    """At a load of four times the cores it is four times as long; an idle machine does not shorten it."""
    machine.load = load
    patience = Patience(10)
    machine.now_s = 10 * times - 0.1
    assert patience.is_left
    machine.now_s = 10 * times
    assert not patience.is_left


def test_a_load_that_comes_or_goes_meanwhile_counts(machine: Machine) -> None:
    """The highest one that was seen while waiting decides."""
    patience = Patience()
    machine.now_s, machine.load = WAIT_S - 1, 8.0
    assert patience.is_left
    machine.now_s, machine.load = 4 * WAIT_S - 1, 0.1
    assert patience.is_left
    machine.now_s = 4 * WAIT_S
    assert not patience.is_left


def test_a_wait_ends_at_its_bound_and_says_how_long_it_was(machine: Machine) -> None:
    """The sentence has the bound with the load in it."""
    machine.load = 6.0
    with pytest.raises(AssertionError, match="waited 90 s in vain until pigs fly"):
        services.wait_until(lambda: False, "pigs fly")
    assert 90 <= machine.now_s <= 92
