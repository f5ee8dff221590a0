"""Turns what arrives over MQTT into records for the store, and says what is wrong with the rest."""

from dataclasses import dataclass, field
from typing import Literal

from broker import messages, topics
from broker.messages import Health, Heard, Identity, Reading, Status, WireError
from server.store import Written

MOST_GENERATION = 2**48
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Taken:
    """What one MQTT message carries."""

    device: str
    records: list[Written] = field(default_factory=list)
    refused: list[tuple[Identity, str]] = field(default_factory=list)
    """Records that are malformed but can be named, with the reason."""
    nameless: list[str] = field(default_factory=list)
    """Why other parts are dropped."""


def take(topic: str, payload: bytes) -> Taken:
    """Return what a message carries; a malformed record does not harm its neighbours.

    Raises:
        WireError: nothing in it can be read; the text says why.
    """
    try:
        device, kind = topics.parse(topic)
    except ValueError as error:
        raise WireError(str(error)) from error
    if kind == "status":
        return Taken(device, [messages.decode(payload, Status)] if payload else [])
    if kind == "health":
        return Taken(device, [messages.decode(payload, Health)] if payload else [])
    taken = Taken(device)
    for part in messages.split(payload):
        try:
            taken.records.append(_record(part, kind))
        except WireError as error:
            reason = str(error)[:_LONGEST_REASON]
            identity = messages.identify(part)
            if identity is None:
                taken.nameless.append(reason)
            else:
                taken.refused.append((identity, reason))
    return taken


def _record(part: bytes, kind: Literal["reading", "heard"]) -> Reading | Heard:
    """Return one record whose numbers the store can count with."""
    record = messages.decode(part, Reading) if kind == "reading" else messages.decode(part, Heard)
    if record.gen > MOST_GENERATION:
        raise WireError(f"gen is {record.gen}; {MOST_GENERATION} is the most")
    return record
