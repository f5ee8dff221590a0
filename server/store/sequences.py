"""Sequence numbers of a boot, as pages of bits and as runs: which are stored, and which are missing."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from server.store import codec, keys
from server.store.limits import PAGE_NUMBERS, PAGES_PER_BOOT
from server.store.types import Boot, BootSequences, ExecuteAll, Ints

_MOST_PAGES_READ = 4096
"""2 MiB: the newest pages of a device whose numbers are far apart."""

Page = tuple[int, bytes]
"""Number of a page and its bits, the highest of each byte first; page 0 of a boot of layout 2 is longer than others."""


def of_device(
    execute_all: ExecuteAll, device: str, inside: tuple[int, int], most_boots: int, most_runs: int
) -> tuple[list[BootSequences], bool]:
    """Return what `RedisStore.sequences` describes; `inside` is start and end, Unix ms."""
    start, end = inside
    packed, ids, generation = execute_all(
        [
            ("HGETALL", keys.boots(device)),
            ("ZRANGE", keys.pages(device), 0, -1),
            ("HGET", keys.base(device), "gen"),
        ]
    )
    boots = codec.unpack_boots(packed, int(generation or 0))
    wanted = [boot for boot in boots if boot.first_at < end and boot.last_at >= start]
    chosen = wanted[-most_boots:]
    by_index = pages_by_index(ids)
    numbers = [pages_of(packed[bytes.fromhex(boot.boot)], by_index) for boot in chosen]
    asked = [(index, page) for index, own in numbers for page in own][-_MOST_PAGES_READ:]
    replies = execute_all([("GET", keys.seen(device, *each)) for each in asked])
    bits = dict(zip(asked, replies, strict=True))
    stored = [runs((page or 0, bits.get((index, page)) or b"") for page in own) for index, own in numbers]
    lives_on = boots[0] if int(generation or 0) and boots else None
    return with_missing(chosen, stored, lives_on, most_runs), len(chosen) < len(wanted)


def pages_by_index(ids: Iterable[bytes] | Iterable[int]) -> dict[int, list[int]]:
    """Return the pages of each boot, in order, by the index of the boot."""
    found: dict[int, list[int]] = {}
    for number in sorted(map(int, ids)):
        index, page = divmod(number, PAGES_PER_BOOT)
        found.setdefault(index, []).append(page)
    return found


def pages_of(boot: bytes, by_index: dict[int, list[int]]) -> tuple[int, Sequence[int | None]]:
    """Return the index of a stored boot, and its pages; None stands for the one bitmap that a boot of layout 2 has."""
    index = codec.boot_index(boot)
    return index, by_index.get(index, []) if codec.has_pages(boot) else [None]


def runs(pages: Iterable[Page]) -> Ints:
    """Return the numbers whose bits are set in pages, which are in order: first and last of each run, shape (n, 2)."""
    parts = [np.zeros((0, 2), np.int64)]
    for page, bitmap in pages:
        bits = np.unpackbits(np.frombuffer(bitmap, np.uint8))
        edges = np.flatnonzero(np.diff(np.pad(bits.astype(np.int8), 1))) + page * PAGE_NUMBERS
        parts.append(edges.reshape(-1, 2) - np.array([0, 1]))
    found = np.concatenate(parts)
    begins = np.concatenate([[True], found[1:, 0] != found[:-1, 1] + 1])[: len(found)]  # runs go on over pages
    ends = np.concatenate([begins[1:], [True]])[: len(found)]
    return np.stack([found[begins, 0], found[ends, 1]], axis=1)


def pages(runs: Iterable[Sequence[int]]) -> list[Page]:
    """Return the pages in which the bits of numbers are set; the runs (first, last) are in order and apart."""
    found: dict[int, NDArray[np.uint8]] = {}
    for first, last in runs:
        for page in range(first // PAGE_NUMBERS, last // PAGE_NUMBERS + 1):
            bits = found.setdefault(page, np.zeros(PAGE_NUMBERS, np.uint8))
            start = page * PAGE_NUMBERS
            bits[max(first - start, 0) : last - start + 1] = 1
    return [(page, np.packbits(bits).tobytes()) for page, bits in found.items()]


def count(runs: Ints) -> int:
    """Return how many numbers are in runs."""
    return int((runs[:, 1] - runs[:, 0] + 1).sum())


def holes(runs: Ints, first: int) -> Ints:
    """Return the numbers from a first one on that are missing between runs, as runs."""
    ends = np.concatenate([[first - 1], runs[:, 1]])[: len(runs)]
    found = np.stack([np.maximum(ends + 1, first), runs[:, 0] - 1], axis=1)
    return found[found[:, 0] <= found[:, 1]]


def with_missing(
    boots: Sequence[Boot], stored: Sequence[Ints], lives_on: Boot | None, most_runs: int
) -> list[BootSequences]:
    """Return what of some boots is missing.

    Args:
        boots: Oldest first.
        stored: The numbers of each that are kept, as runs.
        lives_on: The boot that has lived through an erasure; numbers before its first one are not missing.
        most_runs: Of more runs of missing numbers those of the newest boots are returned, and of a boot the last ones.
    """
    found: list[BootSequences] = []
    for boot, own in zip(reversed(boots), reversed(stored), strict=True):
        is_whole = count(own) >= boot.records  # else the retention has taken the first numbers
        known_from = 0 if is_whole else int(own[0, 0]) if len(own) else boot.highest + 1
        if boot == lives_on:
            known_from = max(known_from, boot.lowest)
        missing = holes(own, known_from)
        told = missing[max(len(missing) - most_runs, 0) :]
        most_runs -= len(told)
        pairs = [(first, last) for first, last in told.tolist()]
        found.append(BootSequences(boot, known_from, pairs, more=len(told) < len(missing)))
    return found[::-1]
