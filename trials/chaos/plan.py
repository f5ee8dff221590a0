"""Schedules: which fault strikes when and for how long, from a seed or a plan."""

import random
import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from trials.chaos import faults_devices, faults_services  # noqa: F401 - they enter their faults
from trials.chaos.registry import FAULTS

BEFORE_S, AFTER_S = 1.0, 1.0
"""How long devices send before the first fault can strike, and after the last one has ended."""
_MOST_FAULTS = 4
_SEEDS_PER_STORE = 50
"""So many seeds in a row have one kind of store, which then need not be started anew for each."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault of a schedule."""

    fault: str
    at_s: Annotated[float, Meta(ge=0, le=3600)] = BEFORE_S
    for_s: Annotated[float, Meta(ge=0, le=3600)] = 2.0
    device: Annotated[int, Meta(ge=0)] = 0
    """Number of the device that is meant, from 0."""


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to a few devices and all that they talk to; each is reconciled by itself."""

    step: tuple[Step, ...] = ()
    devices: Annotated[int, Meta(ge=1, le=100)] = 3
    per_s: Annotated[float, Meta(gt=0, le=200)] = 20.0
    """Readings a second of each device."""
    for_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.0
    """How long devices send at least; they go on until a second after the last fault."""
    valkey: bool = False
    """The store is Valkey, from its Python package, even if Redis is installed."""
    seed: int = 0
    """Decides what a fault leaves to chance."""

    @property
    def name(self) -> str:
        """Return the names of its faults."""
        return " + ".join(step.fault for step in self.step) or "nothing"


class _Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schedule: Annotated[tuple[Schedule, ...], Meta(min_length=1)]


def each_fault_alone(devices: int, for_s: float) -> list[Schedule]:
    """Return one schedule for each fault that there is."""
    return [
        Schedule(step=(Step(name, BEFORE_S, fault.for_s[1] * 2 / 3),), devices=devices, for_s=for_s, seed=number)
        for number, (name, fault) in enumerate(FAULTS.items())
    ]


def at_random(seed: int, devices: int, for_s: float) -> Schedule:
    """Return the schedule of a seed: one to four faults, which may overlap."""
    dice = random.Random(seed)
    steps = []
    for _ in range(dice.randint(1, _MOST_FAULTS)):
        fault = FAULTS[dice.choice(list(FAULTS))]
        steps.append(
            Step(
                fault.name,
                round(BEFORE_S + dice.uniform(0, 3), 2),
                round(dice.uniform(*fault.for_s), 2),
                dice.randrange(devices),
            )
        )
    valkey = bool(seed // _SEEDS_PER_STORE % 2)
    return Schedule(step=tuple(steps), devices=devices, for_s=for_s, valkey=valkey, seed=seed)


def read(path: Path) -> list[Schedule]:
    """Return the schedules of a plan, a TOML file with a `[[schedule]]` each, and in it a `[[schedule.step]]` each.

    Raises:
        ValueError: it cannot be read, or something in it is not as it should be; the text says what.
    """
    try:
        found = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _Plan).schedule
    except (OSError, ValueError) as error:  # both libraries' errors are a ValueError
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"plan {path} cannot be used: {reason}") from error
    for schedule in found:
        for step in schedule.step:
            if step.fault not in FAULTS:
                raise ValueError(
                    f"plan {path} has a fault {step.fault!r}, which there is not; `moodwire chaos --list` shows all"
                )
            if step.device >= schedule.devices:
                raise ValueError(
                    f"plan {path} lets {step.fault} strike device {step.device}, and there are {schedule.devices}, "
                    "counted from 0"
                )
    return list(found)
