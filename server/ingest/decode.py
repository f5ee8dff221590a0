"""Turns what arrives over MQTT into records for the store, and says what is wrong with the rest."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

from broker import messages, topics
from broker.messages import CommandResponse, Health, Heard, Identity, Reading, Status, WireError
from server.store.types import DeviceMessage

_LONGEST_REASON = 200


class Taken(NamedTuple):
    """What one MQTT message carries."""

    device: str
    records: Sequence[DeviceMessage] = ()
    refused: Sequence[tuple[Identity, str]] = ()
    """Records that are malformed but can be named, with the reason."""
    nameless: Sequence[str] = ()
    """Why other parts are dropped."""


def take(topic: str, payload: bytes) -> Taken:
    """Return what a message carries; a malformed record does not harm its neighbours.

    Raises:
        WireError: nothing in it can be read; the text says why.
    """
    device, kind = _address(topic)
    if kind == "status":
        return Taken(device, [messages.decode(payload, Status)] if payload else [])
    if kind == "health":
        return Taken(device, [messages.decode(payload, Health)] if payload else [])
    if kind in topics.ANSWERED:
        return Taken(device, [messages.decode(payload, CommandResponse)])
    try:
        return Taken(device, messages.decode_all(payload, _record_of(kind)))
    except WireError:
        pass  # so look at each part by itself
    records: list[DeviceMessage] = []
    refused: list[tuple[Identity, str]] = []
    nameless: list[str] = []
    for part in messages.split(payload):
        try:
            records.append(messages.decode(part, _record_of(kind)))
        except WireError as error:
            reason = str(error)[:_LONGEST_REASON]
            identity = messages.identify(part)
            if identity is None:
                nameless.append(reason)
            else:
                refused.append((identity, reason))
    return Taken(device, records, refused, nameless)


@functools.lru_cache(maxsize=16_384)
def _address(topic: str) -> topics.Address:
    """Return whom a topic is about; most come again and again."""
    try:
        return topics.parse(topic)
    except ValueError as error:
        raise WireError(str(error)) from error


def _record_of(kind: topics.FromDevice) -> type[Reading] | type[Heard]:
    """Return the type of the records that come on a kind of topic."""
    return Reading if kind == "reading" else Heard
