"""What a fault is, and the list of all faults by name."""

from collections.abc import Callable
from typing import NamedTuple

from trials.chaos.world import Strike

Act = Callable[[Strike], None]
"""Does it: begins, lasts, and ends; what it needs lies in the `Strike`."""


class Fault(NamedTuple):
    """One way to fail."""

    name: str
    where: str
    """What fails; two faults of one place do not overlap."""
    for_s: tuple[float, float]
    """How long it lasts, at least and at most, in schedules made at random."""
    what: str
    """One sentence for people."""
    act: Act


FAULTS: dict[str, Fault] = {}


def fault(where: str, least_s: float, most_s: float) -> Callable[[Act], Act]:
    """Enter a function in the list: its name, with hyphens, is the fault's, and its docstring says what happens."""

    def enter(act: Act) -> Act:
        name = act.__name__.replace("_", "-")
        what = " ".join((act.__doc__ or "").split())
        FAULTS[name] = Fault(name, where, (least_s, most_s), what, act)
        return act

    return enter
