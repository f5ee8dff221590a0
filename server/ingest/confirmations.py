"""Collects what became of records and words the confirmations that go back to the devices."""

from collections import defaultdict
from collections.abc import Iterator

from broker.messages import Stored, ranges
from server.store.types import Outcome, OutcomeKind

_RECORDS_PER_MESSAGE = 200
"""So that a confirmation stays within a message even if each record is refused for its own reason."""


class Answers:
    """What became of records, by device and boot."""

    def __init__(self) -> None:
        self._outcomes: dict[tuple[str, str], list[tuple[int, Outcome]]] = defaultdict(list)

    def add(self, device: str, boot: str, seq: int, outcome: Outcome) -> None:
        """Note what became of one record."""
        self._outcomes[device, boot].append((seq, outcome))

    def __bool__(self) -> bool:
        """Return whether there is anything to confirm."""
        return bool(self._outcomes)

    def messages(self) -> Iterator[tuple[str, Stored]]:
        """Yield the confirmations with the devices that they are for."""
        for (device, boot), outcomes in self._outcomes.items():
            for first in range(0, len(outcomes), _RECORDS_PER_MESSAGE):
                yield device, _word(boot, outcomes[first : first + _RECORDS_PER_MESSAGE])


def _word(boot: str, outcomes: list[tuple[int, Outcome]]) -> Stored:
    """Return one confirmation; a repeat is stored, as the device wants to hear."""
    if all(outcome.kind == "stored" for _, outcome in outcomes):
        return Stored(boot=boot, stored=ranges([seq for seq, _ in outcomes]))
    numbers: dict[OutcomeKind, list[int]] = defaultdict(list)
    reasons: dict[str, list[int]] = defaultdict(list)
    for seq, outcome in outcomes:
        if outcome.kind == "refused":
            reasons[outcome.reason].append(seq)
        else:
            numbers[outcome.kind].append(seq)
    return Stored(
        boot=boot,
        stored=ranges(numbers["stored"] + numbers["repeat"]),
        expired=ranges(numbers["expired"]),
        erased=ranges(numbers["erased"]),
        refused=tuple((first, last, reason) for reason, seqs in reasons.items() for first, last in ranges(seqs)),
    )
