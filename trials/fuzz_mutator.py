"""Makes inputs that nobody should send: bytes changed at random, and values of JSON replaced by awkward ones."""

import json
import random
from collections.abc import Sequence
from typing import Any

LONGEST = 80_000
_NUMBERS = [0, -1, 1, 2**26 - 1, 2**26, 2**31, 2**32, 2**48, 2**53 + 1, 2**63, 2**64, -(2**63), 0.1, 1e308, 5e-324]
_TEXTS = [
    "",
    "x" * 65,
    "A" * 5000,
    "0" * 16,
    "g" * 16,
    "\x00",
    "\n",
    "\ud800",
    "\u00e9",
    "\u202e",
    "../../x",
    "=1+1",
    "ANG",
]
_VALUES: list[Any] = [*_NUMBERS, *_TEXTS, None, True, False, [], {}, [[]], {"": 0}, [0] * 200]
_PIECES = [
    *(
        b'"',
        b"\\",
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\r\n",
        b"\t",
        b"=",
        b"#",
        b"'",
    ),
    *(
        b"null",
        b"true",
        b"NaN",
        b"Infinity",
        b"1e999",
        b"-0",
        b"9" * 400,
        b"0x7f",
        b"\\u0000",
        b"\\ud800",
        b'"""',
        b"''",
    ),
    *(
        b"[" * 2000,
        b'{"a":' * 2000,
        b"[[",
        b"]]",
        b"1979-05-27T07:32:00Z",
        b"%00",
        b"%FF",
        b"&",
        b"?",
        b"/",
        b";",
        b"*",
    ),
]


def mutated(seed: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return a seed with one to a few changes."""
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 8))):
        kind = rng.randrange(8)
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 1, 2, 4, 16, 64)))
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 2:
            del data[at:end]
        elif kind == 3:
            data[at:at] = data[at:end] * rng.choice((1, 1, 2, 50))
        elif kind == 4:
            data[at:at] = rng.choice(_PIECES)
        elif kind == 5:
            del data[at:]
        elif kind == 6:
            other = rng.choice(others)
            data[at:end] = other[rng.randrange(len(other) + 1) :][: rng.choice((4, 32, 256))]
        else:
            data[at:end] = rng.randbytes(end - at)
        if len(data) > LONGEST:
            del data[LONGEST:]
    return bytes(data)


def awkward(seed: bytes, rng: random.Random) -> bytes:
    """Return a JSON seed in which some values are others, keys are gone, or new ones are there; else the seed."""
    try:
        value = json.loads(seed)
    except (ValueError, RecursionError):
        return seed
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        value = _changed(value, rng)
    return json.dumps(value, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _changed(value: Any, rng: random.Random) -> Any:
    """Return a value in which one place is another."""
    how = rng.random()
    if isinstance(value, dict) and value and how < 0.9:
        return _changed_object(value, rng)
    if isinstance(value, list) and value and how < 0.8:
        return _changed_array(value, rng)
    if isinstance(value, int | float) and not isinstance(value, bool) and how < 0.5:
        return value + rng.choice((1, -1, 10**9))
    return rng.choice(_VALUES)


def _changed_object(value: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    key, how = rng.choice([*value]), rng.random()
    if how < 0.1:
        return {name: part for name, part in value.items() if name != key}
    if how < 0.2:
        return {**value, rng.choice(_TEXTS): rng.choice(_VALUES)}
    return {**value, key: _changed(value[key], rng)}


def _changed_array(value: list[Any], rng: random.Random) -> list[Any]:
    at, how = rng.randrange(len(value)), rng.random()
    if how < 0.1:
        return value[:at] + value[at + 1 :]
    if how < 0.2:
        return value[: at + 1] + value[at : at + 1] * rng.choice((1, 2, 120)) + value[at + 1 :]
    return [*value[:at], _changed(value[at], rng), *value[at + 1 :]]
