"""How much of one device the store keeps beside its records, so that no device takes the memory of all.

Each limit is far above what a healthy device needs. A record beyond it is refused with the reason, which ingest counts,
logs and tells the device. An erasure sets all of it back.
"""

from broker.messages import MAX_SEQ

PAGE_NUMBERS = 4096
"""Sequence numbers in one page of a boot's bitmap, 512 bytes: at one record a second a page lasts 68 minutes, and
its key costs 0.05 bytes for each record. A number far away from all others costs a page, not all pages between."""
PAGES_PER_BOOT = (MAX_SEQ + 1) // PAGE_NUMBERS
MOST_PAGES = 65_536
"""Of one device: 85 MB at most. Ten records a second for 90 days need 19,000. So numbers may jump as far as the wire
allows, as those of a device do that was away and dropped what its disk did not hold, but not often."""
MOST_BOOTS_A_DAY = 1000
"""A restart each 86 s, all day. So who floods the store with boots for a while has not shut the device out for good."""
MOST_BOOTS = 10_000
"""Of one device, kept at a time: 110 restarts a day for 90 days, and 10 MB."""
MOST_GENERATIONS_AHEAD = 10_000
"""Erasures that a device may know of and the store does not, because the store was emptied or restored: one a day for
27 years. So nobody reaches the wire's highest one, beyond which the device could not be erased."""
HIGHEST_GENERATION = 2**48
"""Of the wire."""
REPAIRED_GENERATION = 1_000_000
"""What follows the highest one at an erasure: above that of any device that is not lost with it."""


def in_lua() -> str:
    """Return the limits as lines of Lua that stand before the store's functions."""
    return "".join(f"local {name} = {value}\n" for name, value in globals().items() if isinstance(value, int))
