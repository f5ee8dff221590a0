"""The layout of the store's data, as a number in the store: a version reads and writes only its own layout."""

from server.errors import UnusableError
from server.store import keys
from server.store.types import Execute


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
    """Return if the store is empty or has our layout.

    Raises:
        StoreAwayError: the store does not answer.
        UnusableError: it holds data in another layout.
    """
    number = found(execute)
    if number not in (None, keys.LAYOUT_VERSION):
        raise UnusableError(
            f"the store holds data in layout {number}, and this version reads layout {keys.LAYOUT_VERSION}: "
            "use the version that wrote it, or an empty store"
        )


def mark(execute: Execute) -> None:
    """Mark an empty store with our layout.

    Raises:
        StoreAwayError: the store does not answer.
        UnusableError: it holds data in another layout.
    """
    check(execute)
    execute("SET", keys.LAYOUT, keys.LAYOUT_VERSION, "NX")
