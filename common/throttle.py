"""Failures of strangers, such as wrong passwords: counted for each address, logged seldom, and told to wait."""

import ipaddress
import logging
import math
import time
from collections import deque
from collections.abc import Callable

TRIES, TRIES_S = 10, 60.0
"""After so many failures in so many seconds an address must wait."""
_ADDRESSES = 10_000
_LINES = 100
"""Lines of the log in `TRIES_S`, whatever the number of addresses."""


class Throttle:
    """Failures of each address; too many in a minute, and the address waits. For one thread, or under a lock.

    Args:
        log: Told of the first failure of an address, and of the one that makes it wait.
        what: What is refused, like `a log-in`.
        clock_s: Tells the time; seconds of any start.
    """

    def __init__(self, log: logging.Logger, what: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._what = what
        self._clock_s = clock_s
        self._failed: dict[str, deque[float]] = {}
        self._said: deque[float] = deque(maxlen=_LINES)
        """When the last lines were logged."""
        self.count = 0
        """Failures since the start."""

    def wait_s(self, address: str) -> int:
        """Return how long an address must wait; 0 if it may try."""
        times = self._recent(_network(address))
        return 0 if len(times) < TRIES else max(1, math.ceil(times[0] + TRIES_S - self._clock_s()))

    def fail(self, address: str) -> None:
        """Note a failure."""
        self.count += 1
        network = _network(address)
        times = self._recent(network)
        while len(self._failed) >= _ADDRESSES and network not in self._failed:
            self._failed.pop(next(iter(self._failed)))
        self._failed[network] = times
        times.append(self._clock_s())
        if len(times) in {1, TRIES}:
            self._say(address)

    def _recent(self, network: str) -> deque[float]:
        """Return when an address failed in the last minute."""
        times = self._failed.get(network) or deque(maxlen=TRIES)
        while times and times[0] <= self._clock_s() - TRIES_S:
            times.popleft()
        return times

    def _say(self, address: str) -> None:
        now_s = self._clock_s()
        if len(self._said) < _LINES or self._said[0] <= now_s - TRIES_S:
            self._said.append(now_s)
            self._log.warning("refused %s from %s; %d since the start", self._what, address, self.count)


def _network(address: str) -> str:
    """Return an address, or of IPv6 the network of 64 bits, within which one machine may have any address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((address, 64), strict=False)) if found.version == 6 else address
