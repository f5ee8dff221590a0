"""Decodes MQTT messages into records for the store, and says what is wrong with the rest."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

from broker import batches, messages, topics
from broker.messages import CommandResponse, Health, Heard, Identity, Reading, Status, WireError
from server.store.types import DeviceMessage

_LONGEST_REASON = 200


class Decoded(NamedTuple):
    """What one MQTT message carries."""

    device: str
    records: Sequence[DeviceMessage] = ()
    refused: Sequence[tuple[Identity, str]] = ()
    """Malformed records that have an identity, with the reason."""
    dropped: Sequence[str] = ()
    """Reasons why other parts are dropped: nobody can be told of them."""


def decode(topic: str, payload: bytes) -> Decoded:
    """Decode a message; a malformed record does not harm its neighbours.

    Raises:
        WireError: nothing in it can be read; the text says why.
    """
    device, kind = address(topic)
    if kind == "status":
        return Decoded(device, [messages.decode(payload, Status)] if payload else [])
    if kind == "health":
        return Decoded(device, [messages.decode(payload, Health)] if payload else [])
    if kind in topics.RESPONSES:
        return Decoded(device, [messages.decode(payload, CommandResponse)])
    try:
        return Decoded(device, messages.decode_all(payload, _record_of(kind)))
    except WireError:
        pass  # so decode each part by itself
    records: list[DeviceMessage] = []
    refused: list[tuple[Identity, str]] = []
    dropped: list[str] = []
    for part in batches.split(payload):
        try:
            records.append(messages.decode(part, _record_of(kind)))
        except WireError as error:
            reason = str(error)[:_LONGEST_REASON]
            identity = messages.identify(part)
            if identity is None:
                dropped.append(reason)
            else:
                refused.append((identity, reason))
    return Decoded(device, records, refused, dropped)


@functools.lru_cache(maxsize=16_384)
def address(topic: str) -> topics.Address:
    """Parse a topic; few of them come again and again.

    Raises:
        WireError: it names no device, or nothing that a device sends.
    """
    try:
        return topics.parse(topic)
    except ValueError as error:
        raise WireError(str(error)) from error


def _record_of(kind: topics.FromDevice) -> type[Reading] | type[Heard]:
    """Return the type of the records that come on a kind of topic."""
    return Reading if kind == "reading" else Heard
