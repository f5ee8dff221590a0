"""What the boots of a device tell about it."""

from server.store.types import Boot


def overlap(boots: list[Boot]) -> bool:
    """Return whether two boots sent in turns for the same time, so that two devices have one id.

    A device whose clock steps back over a restart also has two boots for the same time, but all records of the second
    arrive after those of the first.

    Args:
        boots: Sorted by their first time.
    """
    open_boots: list[Boot] = []
    for boot in boots:
        open_boots = [other for other in open_boots if other.last_at > boot.first_at]
        for other in open_boots:
            if other.last_arrival > boot.first_arrival and boot.last_arrival > other.first_arrival:
                return True
        open_boots.append(boot)
    return False
