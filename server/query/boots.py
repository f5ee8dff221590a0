"""What the boots of a device tell about it."""

import bisect
import heapq

from server.store.types import Boot

MOST_LISTED = 100
"""Boots of an answer, the newest: nobody reads more, and a device that restarts all the time has thousands."""


def overlap(boots: list[Boot]) -> bool:
    """Return whether two boots sent in turns for the same time, so that two devices have one id.

    A device whose clock steps back over a restart also has two boots for the same time, but all records of the second
    arrive after those of the first. So each boot is a rectangle, its times by its arrivals, and two of them must share
    an area. A sweep over the times keeps the arrivals of the boots that it is in; as long as no two of these overlap,
    only the neighbours of a new one can overlap it.

    Args:
        boots: Sorted by their first time.

    Source: M. I. Shamos and D. Hoey, "Geometric intersection problems", FOCS 1976.
    """
    arrivals: list[tuple[int, int]] = []
    ends: list[tuple[int, tuple[int, int]]] = []
    for boot in boots:
        while ends and ends[0][0] <= boot.first_at:
            _, ended = heapq.heappop(ends)
            del arrivals[bisect.bisect_left(arrivals, ended)]
        first, last = boot.first_arrival, boot.last_arrival
        place = bisect.bisect(arrivals, (first, last))
        for other_first, other_last in arrivals[max(place - 1, 0) : place + 1]:
            if other_last > first and last > other_first:
                return True
        arrivals.insert(place, (first, last))
        heapq.heappush(ends, (boot.last_at, (first, last)))
    return False
