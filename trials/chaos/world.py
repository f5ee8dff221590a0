"""What a fault strikes: services, devices, and the device that is meant."""

import random
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from trials.chaos.fleet import Device
from trials.chaos.services import Services


class NotHereError(Exception):
    """A fault cannot be made on this machine; the text says what it takes."""


@dataclass
class World:
    """Services and devices of one schedule."""

    services: Services
    devices: list[Device]
    spare: list[str]
    """Device ids with an account that nobody uses."""
    extra: list[Device] = field(default_factory=list)
    """Devices that a fault has added."""

    def everyone(self) -> list[Device]:
        """Return all devices."""
        return [*self.devices, *self.extra]


class Strike(NamedTuple):
    """One fault that happens."""

    world: World
    device: Device
    """The one that is meant, if the fault is one of a device."""
    for_s: float
    dice: random.Random

    @property
    def services(self) -> Services:
        """Return broker, store, ingest and REST."""
        return self.world.services

    def last(self) -> None:
        """Wait as long as the fault lasts."""
        time.sleep(self.for_s)
