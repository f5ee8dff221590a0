"""Takes the records of one payload apart, also where one of them is broken."""

import json
import re
from itertools import islice
from typing import Annotated

import msgspec
from msgspec import Meta

from broker.messages import MAX_BATCH, MAX_PAYLOAD_BYTES, WireError
from common.decoding import JSON_ERRORS

_RECORD_START = re.compile(rb'\{"v":1,"boot":')
"""How every record begins that `messages.encode` made."""
_BETWEEN = b" \t\r\n,[]"
_raw_list = msgspec.json.Decoder(Annotated[list[msgspec.Raw], Meta(max_length=MAX_BATCH)])
_scanner = json.JSONDecoder(strict=False)


def split(payload: bytes) -> list[bytes]:
    """Return the encoded records of one payload, one or up to 100, without decoding them.

    In an array that is not JSON whole records are found by how they begin; what is left of it are parts too.

    Raises:
        WireError: the payload is too large, is an array in which nothing can be read, or has too many elements.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise WireError(f"the payload has {len(payload)} bytes; {MAX_PAYLOAD_BYTES} are allowed")
    if not payload.lstrip().startswith(b"["):
        return [payload]
    try:
        return [bytes(raw) for raw in _raw_list.decode(payload)]
    except msgspec.ValidationError as error:
        raise WireError(str(error)) from error
    except JSON_ERRORS as error:
        if parts := _whole_records(payload):
            return parts
        raise WireError(str(error)) from error


def _whole_records(payload: bytes) -> list[bytes]:
    """Return the records that can be read in a broken array, and what stands between them.

    Nothing if there is none, or if more begin in it than a message may have: then a hostile message costs little.
    """
    text = payload.decode("latin-1")  # a place in it is a place in the payload
    found: list[bytes] = []
    done = 0
    whole = 0
    starts = list(islice(_RECORD_START.finditer(payload), MAX_BATCH + 1))
    if len(starts) > MAX_BATCH:
        return []
    for start in starts:
        if start.start() < done:
            continue
        try:
            _, end = _scanner.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        found += [part for part in (payload[done : start.start()].strip(_BETWEEN),) if part]
        found.append(payload[start.start() : end])
        done, whole = end, whole + 1
    rest = payload[done:].strip(_BETWEEN)
    return [*found, *([rest] if rest else [])] if whole else []
