"""Confirmations: collects the outcomes of records, and tells them to the devices that sent the records."""

import time
from collections import defaultdict
from collections.abc import Iterator

from broker.messages import Stored, ranges
from server.store.types import Outcome, OutcomeKind

_INTERVAL_S = 0.5
"""A device can wait so long for `stored`, and hears of several records at once."""
_RECORDS_PER_MESSAGE = 200
"""So that a confirmation stays within a message even if each record is refused for its own reason."""


class Confirmations:
    """Outcomes of records that their devices have not been told, by device and boot."""

    def __init__(self) -> None:
        self._outcomes: dict[tuple[str, str], list[tuple[int, Outcome]]] = defaultdict(list)
        self._due_s = 0.0

    def add(self, device: str, boot: str, seq: int, outcome: Outcome) -> None:
        """Add the outcome of one record."""
        self._outcomes[device, boot].append((seq, outcome))

    def take(self, *, now: bool = False) -> Iterator[tuple[str, Stored]]:
        """Yield devices and their confirmations, and forget these.

        The first after a pause go at once, others are gathered.

        Args:
            now: Do not gather.
        """
        if not self._outcomes or (time.monotonic() < self._due_s and not now):
            return
        self._due_s = time.monotonic() + _INTERVAL_S
        told, self._outcomes = self._outcomes, defaultdict(list)
        for (device, boot), outcomes in told.items():
            for first in range(0, len(outcomes), _RECORDS_PER_MESSAGE):
                yield device, _confirmation(boot, outcomes[first : first + _RECORDS_PER_MESSAGE])


def _confirmation(boot: str, outcomes: list[tuple[int, Outcome]]) -> Stored:
    """Return one confirmation; it calls a repeat stored, since the device need not send that again."""
    if all(outcome.kind == "stored" for _, outcome in outcomes):
        return Stored(boot=boot, stored=ranges([seq for seq, _ in outcomes]))
    numbers: dict[OutcomeKind, list[int]] = defaultdict(list)
    reasons: dict[OutcomeKind, dict[str, list[int]]] = {"refused": defaultdict(list), "later": defaultdict(list)}
    for seq, outcome in outcomes:
        if outcome.kind in reasons:
            reasons[outcome.kind][outcome.reason].append(seq)
        else:
            numbers[outcome.kind].append(seq)
    return Stored(
        boot=boot,
        stored=ranges(numbers["stored"] + numbers["repeat"]),
        expired=ranges(numbers["expired"]),
        erased=ranges(numbers["erased"]),
        refused=_with_reasons(reasons["refused"]),
        later=_with_reasons(reasons["later"]),
    )


def _with_reasons(reasons: dict[str, list[int]]) -> tuple[tuple[int, int, str], ...]:
    return tuple((first, last, reason) for reason, seqs in reasons.items() for first, last in ranges(seqs))
