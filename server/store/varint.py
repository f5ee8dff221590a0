"""Unsigned LEB128 numbers, as `rollups.lua` packs them: 7 bits a byte, lowest first, high bit set but in the last."""

from collections.abc import Sequence

import numpy as np

from server.store.types import Ints


class Varints:
    """The numbers of many values in one sequence, unpacked on demand."""

    def __init__(self, values: Sequence[bytes]) -> None:
        self._raw = np.frombuffer(b"".join(values), np.uint8)
        self._ends = np.flatnonzero(self._raw < 128)
        self._starts = np.concatenate([[0], self._ends[:-1] + 1])
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        self.firsts: Ints = np.searchsorted(self._starts, np.cumsum(lengths) - lengths)
        """Place of the first number of each value, shape (n,)."""

    def all(self) -> Ints:
        """Return all numbers; faster than `at` for most of them."""
        if not self._ends.size:
            return np.zeros(0, np.int64)
        lengths = self._ends - self._starts + 1
        place = np.arange(self._raw.size) - np.repeat(self._starts, lengths)
        found: Ints = np.add.reduceat((self._raw & 127).astype(np.int64) << 7 * place, self._starts)
        return found

    def at(self, places: Ints) -> Ints:
        """Return the numbers at some places, in the shape of `places`."""
        starts, ends = self._starts[places], self._ends[places]
        found: Ints = (self._raw[starts] & 127).astype(np.int64)
        for place in range(1, int((ends - starts).max(initial=0)) + 1):
            longer = ends - starts >= place
            found[longer] |= (self._raw[starts[longer] + place] & 127).astype(np.int64) << 7 * place
        return found
