"""The layout of the store's data, as a number in the store: a version writes only its own layout."""

import logging

from server.errors import StoreAwayError, UnusableError
from server.store import full, keys
from server.store.types import Execute, Word

log = logging.getLogger(__name__)


def found(execute: Execute) -> int | None:
    """Return the layout of the store's data; None for an empty store.

    Raises:
        StoreAwayError: the store does not answer.
        UnusableError: what stands there is no number.
    """
    number = execute("GET", keys.LAYOUT)
    if number is None:
        # A store of layout 1 had no number.
        return 1 if execute("EXISTS", keys.DEVICES) else None
    if not number.isdigit():
        raise UnusableError(
            f"{keys.LAYOUT} in the store is {number!r}, not a number: use the version that wrote it, or an empty store"
        )
    return int(number)


def check(execute: Execute) -> None:
    """Return if the store is empty or has a layout that we can read.

    Raises:
        StoreAwayError: the store does not answer.
        UnusableError: it holds data in another layout.
    """
    number = found(execute)
    if number is not None and number not in keys.READABLE_LAYOUTS:
        raise UnusableError(
            f"the store holds data in layout {number}, and this version reads layout {keys.LAYOUT_VERSION}: "
            "use the version that wrote it, or an empty store"
        )


def mark(execute: Execute) -> None:
    """Mark the store with our layout; what it holds in an older one is divided when it is next written.

    Raises:
        StoreAwayError: the store does not answer.
        UnusableError: it holds data in another layout.
    """
    check(execute)
    if found(execute) != keys.LAYOUT_VERSION:
        execute(*full.command("SET", keys.LAYOUT, keys.LAYOUT_VERSION))


def was_emptied(before: bytes | None, place: str) -> bool:
    """Return whether the store had no layout any more before a batch was written to it, and log that.

    Args:
        before: What `guard` replied.
        place: The store's address, for people.

    Raises:
        StoreAwayError: it had another one.
    """
    if before is None:
        message = "the store at %s was emptied meanwhile: what it held is gone; it is marked with our layout again"
        log.warning(message, place)
    elif before != str(keys.LAYOUT_VERSION).encode():
        raise StoreAwayError(f"the store at {place} has data of layout {before.decode(errors='replace')}")
    return before is None


def guard() -> tuple[Word, ...]:
    """Return the command that goes with each batch: it marks a store that was emptied; replies the layout before."""
    return ("SET", keys.LAYOUT, keys.LAYOUT_VERSION, "NX", "GET")
