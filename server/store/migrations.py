"""`moodwire server migrate`: brings what is in the store into the layout of this version, one step after the other."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from server.errors import UnusableError
from server.store import layout
from server.store.writer import Word


class Asked(Protocol):
    """What is needed of a store."""

    def execute(self, *command: Word) -> Any:
        """Send one command and return its reply; raises `StoreAwayError`."""


STEPS: Mapping[int, Callable[[Asked], None]] = {}
"""Layout → what makes the next one of it. A step can be cut off and done again; layout 1 was never released."""


def found(store: Asked) -> int | None:
    """Return the layout of what is in the store; None if nothing is.

    Raises:
        StoreAwayError: the store does not answer.
        UnusableError: what stands there is no number.
    """
    number = store.execute("GET", layout.VERSION_KEY)
    if number is None:
        return 1 if store.execute("EXISTS", layout.DEVICES) else None
    if not number.isdigit():
        raise UnusableError(f"{layout.VERSION_KEY} in the store is {number!r}: a whole number is right")
    return int(number)


def check(store: Asked) -> None:
    """Return if the store is empty or has our layout.

    Raises:
        StoreAwayError: the store does not answer.
        UnusableError: it holds data in another layout.
    """
    number = found(store)
    if number not in (None, layout.VERSION):
        raise UnusableError(
            f"the store holds data in layout {number}, and this version reads layout {layout.VERSION}: what "
            "`moodwire server migrate` says is right, or the version that wrote it"
        )


def bring(store: Asked, steps: Mapping[int, Callable[[Asked], None]], wanted: int) -> str:
    """Bring the store to a layout and return what was done, as a sentence.

    Raises:
        StoreAwayError: the store does not answer; what was done is kept.
        UnusableError: there is no way from its layout to this one, or ingest is at work.
    """
    number = found(store)
    if number is None:
        return f"the store is empty: layout {wanted} begins with the first record"
    if number == wanted:
        return f"the store has layout {wanted}, which is current: there is nothing to do"
    if number > wanted:
        raise UnusableError(
            f"the store holds data in layout {number}, which a newer moodwire wrote, and this version knows layouts up "
            f"to {wanted}: that newer version, or an empty store, is right"
        )
    missing = [one for one in range(number, wanted) if one not in steps]
    if missing:
        raise UnusableError(
            f"the store holds data in layout {number}, and there is no way from layout {missing[0]} to "
            f"{missing[0] + 1}: an empty store, or the version that wrote it, is right"
        )
    if store.execute("EXISTS", layout.HEARTBEAT):
        raise UnusableError("ingest is at work: to stop it, wait 15 s and repeat this is right")
    for one in range(number, wanted):
        steps[one](store)
        store.execute("SET", layout.VERSION_KEY, one + 1)
    return f"the store had layout {number} and has layout {wanted} now"
