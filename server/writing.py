"""Words what devices send as calls of the store's functions, and reads what these answer."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from broker import messages
from server import layout
from server.store import Kind, Outcome, Written

Word = str | int | bytes

_RECORDS_PER_CALL = 1000
_LONGEST_ERROR = 500
_KINDS: tuple[Kind, ...] = ("stored", "repeat", "expired", "erased", "stale")
_OUTCOMES = {kind.encode(): Outcome(kind) for kind in _KINDS}


class Call(NamedTuple):
    """One command to the store."""

    words: list[Word]
    places: list[int]
    """Places in the batch of what it writes."""


def calls(batch: Sequence[tuple[str, Written]], keep_ms: int, keep_rollups_ms: int) -> list[Call]:
    """Return the calls that write (device, message) pairs.

    Records of one device are written by one call, which stands where the first of them stood.
    """
    made: list[Call] = []
    started: dict[str, Call] = {}
    for place, (device, message) in enumerate(batch):
        if isinstance(message, messages.Reading):
            text, packed = layout.pack_reading(message)
        elif isinstance(message, messages.Heard):
            text, packed = "", layout.pack_heard(message)
        else:
            made.append(Call(_about(device, message, keep_rollups_ms), [place]))
            continue
        call = started.get(device)
        if call is None or len(call.places) == _RECORDS_PER_CALL:
            call = Call(["FCALL", layout.function("write"), 1, layout.base(device), keep_ms, keep_rollups_ms], [])
            started[device] = call
            made.append(call)
        call.words.append(text)
        call.words.append(packed)
        call.places.append(place)
    return made


def outcomes(made: Sequence[Call], replies: Sequence[Any], length: int) -> list[Outcome | None]:
    """Return what became of each message of a batch of so many; None where the store answered with an error."""
    found: list[Outcome | None] = [None] * length
    for call, reply in zip(made, replies, strict=True):
        if isinstance(reply, Exception):
            continue
        answers = reply if isinstance(reply, list) else [reply]
        for place, answer in zip(call.places, answers, strict=True):
            found[place] = _OUTCOMES.get(answer) or Outcome("refused", answer.decode().partition(" ")[2])
    return found


def _about(
    device: str, message: messages.Status | messages.Health | messages.CommandResponse, keep_rollups_ms: int
) -> list[Word]:
    """Return the call that takes over what a device says of itself, or how a command ended."""
    key = layout.base(device)
    if isinstance(message, messages.CommandResponse):
        short = replace(message, error=message.error and message.error[:_LONGEST_ERROR])
        return ["FCALL", layout.function("answer"), 1, f"{key}:orders", message.transaction, messages.encode(short)]
    if isinstance(message, messages.Health):
        return ["FCALL", layout.function("health"), 1, key, messages.encode(message)]
    about = (message.state, message.name, ",".join(message.labels), message.model, message.version)
    boot = bytes.fromhex(message.boot)
    return ["FCALL", layout.function("status"), 1, key, boot, message.connection, *about, keep_rollups_ms]
