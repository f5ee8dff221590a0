"""Payloads with several records: what is good in them is found, whatever stands beside it."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from records import reading

from broker import batches, messages
from broker.messages import Reading, WireError, decode, encode

GOOD = reading(7, 1_760_000_000_000)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=messages.MAX_BATCH))
def test_split_undoes_join(numbers: list[int]) -> None:
    """Records that are sent as one array arrive one by one, in their order."""
    batch = [reading(seq, 1_760_000_000_000) for seq in numbers]

    assert [decode(part, Reading) for part in batches.split(messages.join([encode(one) for one in batch]))] == batch


def test_a_bad_record_leaves_its_neighbours_readable() -> None:
    """In an array, each record stands for itself."""
    good, bad, also_good = batches.split(b"[" + encode(GOOD) + b',{"boot":1},' + encode(GOOD) + b"]")

    assert decode(good, Reading) == decode(also_good, Reading) == GOOD
    with pytest.raises(WireError):
        decode(bad, Reading)


@given(st.binary(max_size=300))
@example(encode(GOOD)[:-20])  # a card may have lost the end of it
@example(encode(GOOD).replace(b'"speech"', b'"spe'))
@example(encode(GOOD).replace(b"2", b"\xff"))
@example(b"]")
@example(b"[" * 300)
def test_whatever_stands_between_them_good_records_are_found(between: bytes) -> None:
    """Bytes that break the whole array cost no neighbour."""
    parts = batches.split(b"[" + encode(GOOD) + b"," + between + b"," + encode(GOOD) + b"]")

    assert encode(GOOD) in parts[:1]
    assert encode(GOOD) in parts[1:]


def test_too_long_an_array_is_refused() -> None:
    """More records than the contract allows are refused as a whole."""
    with pytest.raises(WireError, match="100"):
        batches.split(messages.join([encode(GOOD)] * 101))


@pytest.mark.parametrize("payload", [b"[", b"[1,", b"[" * 60_000, b"[" + json.dumps({"v": 1}).encode()])
def test_an_array_in_which_nothing_can_be_read_is_refused(payload: bytes) -> None:
    """No record begins in it as ours do."""
    with pytest.raises(WireError):
        batches.split(payload)


@pytest.mark.parametrize("piece", [b'{"v":1,"boot":', b'{"v":1,"boot":[', b'{"v":1,"boot":"'])
def test_beginnings_without_an_end_cost_little(piece: bytes) -> None:
    """A message of nothing but beginnings is refused at once."""
    start_s = time.process_time()
    with pytest.raises(WireError):
        batches.split((b"[" + piece * 9_000)[: messages.MAX_PAYLOAD_BYTES])

    assert time.process_time() - start_s < 1
