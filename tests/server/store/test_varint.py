"""Packed whole numbers are read back as they were, wherever they stand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.store.varint import Varints


def _packed(number: int) -> bytes:
    """Return one number as `rollups.lua` packs it."""
    packed = bytearray()
    while number >= 128:
        packed.append(number % 128 + 128)
        number //= 128
    return bytes([*packed, number])


@given(st.lists(st.lists(st.integers(0, 2**53), min_size=1, max_size=20), max_size=20))
def test_numbers_are_read_back(rows: list[list[int]]) -> None:
    """All numbers of some values, and the first of each, are those that were packed."""
    numbers = Varints([b"".join(map(_packed, row)) for row in rows])
    expected = [number for row in rows for number in row]
    assert numbers.all().tolist() == expected
    assert numbers.at(np.arange(len(expected))).tolist() == expected
    assert numbers.at(numbers.firsts).tolist() == [row[0] for row in rows]
