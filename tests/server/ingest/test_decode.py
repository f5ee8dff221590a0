"""Decoding raises nothing but `WireError`, and what it takes the store can keep."""

import json
from typing import Any

from brokers import DEVICE
from hypothesis import given
from hypothesis import strategies as st
from records import reading

from broker import topics
from broker.messages import MAX_SEQ, Reading, WireError, encode
from server.ingest.decode import decode
from server.store import codec
from server.store.types import Schema

_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_NEARLY = {
    "boot": st.from_regex("^[0-9a-f]{16}$"),
    "seq": st.integers(-1, MAX_SEQ + 1),
    "at": st.integers(-1, 2**48),
    "span_ms": st.integers(0, 600_001),
    "scores": st.dictionaries(st.from_regex("^[A-Z][A-Z0-9_]{0,15}$"), st.floats(0, 1), max_size=17),
    "level_dbfs": st.floats(-121, 1),
    "model": st.text(max_size=65),
}
_FIELDS = st.one_of(*(st.tuples(st.just(name), values | _ANYTHING) for name, values in _NEARLY.items()))


@given(changes=st.lists(_FIELDS, max_size=4))
def test_what_is_taken_can_be_packed_and_read_back(changes: list[tuple[str, Any]]) -> None:
    """A reading with any fields is either said to be wrong, or one that the store can keep and tell again."""
    payload = json.dumps(json.loads(encode(reading(0, 1_760_000_000_000))) | dict(changes)).encode()
    try:
        records = decode(topics.topic(DEVICE, "reading"), payload).records
    except WireError:
        return
    for record in records:
        assert isinstance(record, Reading)
        text, packed = codec.pack_reading(record)
        kind = codec.parse_schema(text.encode().decode())
        assert kind == Schema(record.model, record.span_ms, tuple(sorted(record.scores)))
        assert packed[1:9].hex() == record.boot


@given(payload=st.binary(max_size=200), at=st.integers(0, 250), cut=st.integers(0, 40), array=st.booleans())
def test_broken_bytes_are_an_error_of_the_wire_and_nothing_else(payload: bytes, at: int, cut: int, array: bool) -> None:  # noqa: FBT001 -- drawn by name
    """Bytes put into a reading or an array of them, or cut out of it, never raise anything but `WireError`."""
    whole = encode(reading(0, 1_760_000_000_000))
    whole = b"[" + whole + b"," + whole + b"]" if array else whole
    for kind in ("reading", "status", "health"):
        try:
            taken = decode(f"{topics.ROOT}/{DEVICE}/{kind}", whole[:at] + payload + whole[at + cut :])
        except WireError:
            continue
        assert taken.device == DEVICE
