"""How long tests wait: generous bounds in one place, which grow with the load of the machine.

A wait ends on its condition; the bound only ends a test that would never do so.
"""

import os
import time

WAIT_S = 30.0
"""Until something happens that takes a second or less on an idle machine."""
REPLY_S = 120.0
"""For one answer over HTTP, a socket or a queue."""
CHILD_S = 480.0
"""For a command that ends by itself."""


def load() -> float:
    """Return how many times as long as alone something takes by the machine's load, 1 at least."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Patience:
    """A bound that grows with the highest load that was seen while it ran.

    Args:
        bound_s: How long to wait on an idle machine.
    """

    def __init__(self, bound_s: float = WAIT_S) -> None:
        self._bound_s = bound_s
        self._since_s = time.monotonic()
        self._load = 1.0

    @property
    def bound_s(self) -> float:
        """The bound by the load so far."""
        self._load = max(self._load, load())
        return self._bound_s * self._load

    @property
    def is_left(self) -> bool:
        """Whether to go on waiting."""
        return time.monotonic() - self._since_s < self.bound_s
