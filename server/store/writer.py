"""Turns messages of devices into calls of the store's functions, and the replies into outcomes."""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from broker import messages
from server.store import codec, keys
from server.store.types import Clock, DeviceMessage, Outcome, OutcomeKind, Word

log = logging.getLogger(__name__)

_LONGEST_ERROR = 500
_KINDS: tuple[OutcomeKind, ...] = ("stored", "repeat", "expired", "erased", "stale")
_OUTCOMES = {kind.encode(): Outcome(kind) for kind in _KINDS}


class Call(NamedTuple):
    """One command to the store."""

    words: list[Word]
    places: list[int]
    """Places of its messages in the batch."""


def calls(batch: Sequence[tuple[str, DeviceMessage]], keep_ms: int, clock: Clock, *, together: bool) -> list[Call]:
    """Return the calls that write (device, message) pairs.

    One call writes the records of one device, or, `together`, those of all devices, which one server must then keep.
    Records come first: what a device says of itself does not depend on them.
    """
    records: dict[str, Call] = {}
    about: list[Call] = []
    for place, (device, message) in enumerate(batch):
        if isinstance(message, messages.Reading):
            text, packed = codec.pack_reading(message)
        elif isinstance(message, messages.Heard):
            text, packed = "", codec.pack_heard(message)
        else:
            about.append(Call(_about(device, message, clock.now_ms), [place]))
            continue
        call = records.get(device)
        if call is None:
            call = records[device] = Call([], [])
        call.words.append(text)
        call.words.append(packed)
        call.places.append(place)
    groups = [list(records.items())] if together and records else [[item] for item in records.items()]
    settings = (keep_ms, clock.now_ms, int(clock.is_vouched_for))
    return [_write(group, settings) for group in groups] + about


def _write(devices: Sequence[tuple[str, Call]], settings: Sequence[Word]) -> Call:
    """Return the call that writes the records of some devices."""
    bases = [keys.base(device) for device, _ in devices]
    made = Call(["FCALL", keys.function("write"), len(bases), *bases, *settings], [])
    for _, records in devices:
        made.words.append(len(records.places))
        made.words.extend(records.words)
        made.places.extend(records.places)
    return made


def outcomes(made: Sequence[Call], replies: Sequence[Any], length: int) -> list[Outcome | None]:
    """Return the outcome of each message of a batch of so many; None where the store replied with an error."""
    found: list[Outcome | None] = [None] * length
    for call, reply in zip(made, replies, strict=True):
        if isinstance(reply, Exception):
            continue
        answers = reply if isinstance(reply, list) else [reply]
        for place, answer in zip(call.places, answers, strict=True):
            found[place] = _OUTCOMES.get(answer) or _other(answer.decode())
    return found


def _other(answer: str) -> Outcome | None:
    """Return the outcome that a reply with a reason names; None if the record is to be written again."""
    kind, _, reason = answer.partition(" ")
    if kind == "refused":
        return Outcome("refused", reason)
    if kind == "later":
        return Outcome("later", reason)
    log.error("a message cannot be written: %s", reason)
    return None


def _about(
    device: str, message: messages.Status | messages.Health | messages.CommandResponse, now_ms: int
) -> list[Word]:
    """Return the call that keeps what a device says of itself, or its response to a command."""
    key = keys.base(device)
    if isinstance(message, messages.CommandResponse):
        short = replace(message, error=message.error and message.error[:_LONGEST_ERROR])
        return ["FCALL", keys.function("answer"), 1, keys.commands(device), message.transaction, messages.encode(short)]
    if isinstance(message, messages.Health):
        return ["FCALL", keys.function("health"), 1, key, messages.encode(message)]
    about = (message.state, message.name, ",".join(message.labels), message.model, message.version)
    boot = bytes.fromhex(message.boot)
    return ["FCALL", keys.function("status"), 1, key, boot, message.connection, *about, now_ms]
