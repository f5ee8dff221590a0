"""Reads the rows of a damaged outbox page by page, below SQLite: every row outside the damaged bytes is found.

SQLite stops at the first page that it cannot follow. A row needs only its own page, and its check value tells whether
it is whole, so neither the tree above it nor the file's header is needed. File format: sqlite.org/fileformat2.html.
"""

import contextlib
import os
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import msgspec

from broker.messages import MAX_PAYLOAD_BYTES, MAX_SEQ, Heard, Reading, WireError, decode, identify
from common.decoding import JSON_ERRORS
from device.delivery.row import Kind, Row
from device.delivery.timestamps import Stamp

PAGE_BYTES = 1024
SEQ_BITS = MAX_SEQ.bit_length()
_WAL_HEADER, _FRAME_HEADER = 32, 24
_INNER, _LEAF, _INDEX_LEAF = 5, 13, 10
_MOST_IN_TABLE, _MOST_IN_INDEX = PAGE_BYTES - 35, (PAGE_BYTES - 12) * 64 // 255 - 23
"""Bytes of a cell that lie on its own page."""
_TREE = {2, _INNER, _LEAF, _INDEX_LEAF}
"""Types of b-tree pages."""
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)
"""By serial type."""
_LARGEST_ROW = MAX_PAYLOAD_BYTES + 1024
_MALFORMED = (IndexError, ValueError, struct.error)
"""What reading a damaged cell raises."""


class Raw(NamedTuple):
    """A row as its page has it; each value may be anything."""

    key: int
    kind: Any
    at_ms: Any
    synced: Any
    held_ms: Any
    payload: Any
    crc: Any
    """None in a file of schema 2."""


class Survey(NamedTuple):
    """What was found around the rows of a damaged file."""

    boots: list[tuple[str, str]]
    """Name and kernel boot of each boot, oldest first; an empty text for a kernel boot that is lost."""
    generation: int
    """Erase generation of the newest rows."""
    meta: dict[str, str]
    """What was kept beside the rows; empty if it is not as it was written."""


class _Generation(msgspec.Struct):
    gen: int


def whole_row(device: str, boot: str, kernel: str, raw: Raw) -> Row | None:
    """Return a row with its boot, if it is as it was written; one without a check value must be such a record."""
    if not isinstance(raw.payload, bytes) or not isinstance(raw.at_ms, int) or not isinstance(raw.synced, int):
        return None
    row = Row(raw.kind, boot, raw.key & MAX_SEQ, raw.payload, Stamp(raw.at_ms, bool(raw.synced), raw.held_ms, kernel))
    is_whole = _is_record(row) if raw.crc is None else row.crc(device) == raw.crc
    return row if is_whole else None


def _is_record(row: Row) -> bool:
    kinds: dict[Kind, type[Reading | Heard]] = {"reading": Reading, "heard": Heard}
    try:
        record = decode(row.payload, kinds[row.kind])
    except (WireError, KeyError, TypeError):
        return False
    return (record.boot, record.seq) == (row.boot, row.seq)


class DamagedFile:
    """An outbox's file and its write-ahead log, read page by page; use it as a context manager.

    Args:
        path: The file; its log lies beside it.
        device: Whose rows are looked for.
        log_from: Look for them only in the pages of the log, from this one on.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, device: str, log_from: int | None = None) -> None:
        self._device = device
        self.bad_rows = 0
        """Rows that were found and are not whole."""
        self._files = contextlib.ExitStack()
        self._file = self._files.enter_context(path.open("rb"))
        wal = path.with_name(f"{path.name}-wal")
        self._wal = self._files.enter_context(wal.open("rb")) if wal.exists() else None
        self._versions: dict[int, list[tuple[BinaryIO, int]]] = {}
        """File and offset of each version of a page, oldest first."""
        for number in range(1, os.fstat(self._file.fileno()).st_size // PAGE_BYTES + 1):
            self._versions[number] = [(self._file, (number - 1) * PAGE_BYTES)]
        self._log_from = log_from
        self._log = [] if self._wal is None else [(number, (self._wal, offset)) for number, offset in frames(self._wal)]
        for number, place in self._log:
            self._versions.setdefault(number, []).append(place)
        self._numbers: dict[int, str] = {}
        self._kernels: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the files."""
        self._files.close()

    def survey(self) -> Survey:
        """Read what the rows need to be told apart; call it before `rows`."""
        numbers: dict[str, Counter[int]] = {}
        meta: dict[str, str] = {}
        for page in self._pages():
            meta |= _meta_in(page, self._page)
            for cell in _cells(page, self._page):
                match cell:
                    case (int(number), None, str(name), str(kernel)):
                        self._numbers[number], self._kernels[name] = name, kernel
                        numbers.setdefault(name, Counter())[number] += 1
                    case (int(key), None, str(), int(), int(), _, bytes(payload), *_) if found := identify(payload):
                        numbers.setdefault(found.boot, Counter())[key >> SEQ_BITS] += 1
        order = sorted(numbers, key=lambda name: numbers[name].most_common(1)[0][0])
        boots = [(name, self._kernels.get(name, "")) for name in order]
        if meta.get("crc") == meta_crc(meta):
            return Survey(boots, int(meta["generation"]), meta)
        return Survey(boots, max((_generation_of(row) or 0 for row in self.rows(0)), default=0), {})

    def rows(self, generation: int) -> Iterator[Row]:
        """Yield every row that is whole, but for those of earlier generations, which were erased."""
        self.bad_rows = 0
        log = None if self._log_from is None else self._log[self._log_from :]
        for page in self._pages() if log is None else (_read(*place) for _, place in log):
            for cell in _cells(page, self._page):
                if cell is None:
                    self.bad_rows += 1
                elif _is_row(cell):
                    row = self._row(_raw(cell))
                    self.bad_rows += row is None
                    if row and _is_of(row, generation):
                        yield row

    def _row(self, raw: Raw) -> Row | None:
        name = self._numbers.get(raw.key >> SEQ_BITS, "")
        row = whole_row(self._device, name, self._kernels.get(name, ""), raw)
        found = None if row or not isinstance(raw.payload, bytes) else identify(raw.payload)
        if found:  # the key or the boot's name may be what is damaged; the record has both
            raw = raw._replace(key=found.seq)
            row = whole_row(self._device, found.boot, self._kernels.get(found.boot, ""), raw)
        return row

    def _pages(self) -> Iterator[bytes]:
        """Yield the newest version of each page, and older ones of a page whose newer one is damaged."""
        free = self._free_pages()
        for number in sorted(self._versions.keys() - free):
            for offset in reversed(self._versions[number]):
                page = _read(*offset)
                body = page[100:] if number == 1 else page
                if not body or body[0] not in _TREE:
                    continue
                yield page
                if len(self._versions[number]) == 1 or self._is_sound(page):
                    break

    def _is_sound(self, page: bytes) -> bool:
        """Return whether all rows of a page are whole."""
        cells = list(_cells(page, self._page))
        return all(cell is not None and (not _is_row(cell) or self._row(_raw(cell)) is not None) for cell in cells)

    def _page(self, number: int) -> bytes:
        return _read(*self._versions[number][-1]) if number in self._versions else b""

    def _free_pages(self) -> set[int]:
        """Return the pages that hold nothing any more: those of the list of free pages that no tree refers to."""
        free: set[int] = set()
        with contextlib.suppress(struct.error):
            (trunk,) = struct.unpack_from(">I", self._page(1), 32)
            while trunk and trunk not in free:
                free.add(trunk)
                trunk, count, *numbers = struct.unpack(f">{PAGE_BYTES // 4}I", self._page(trunk))
                free.update(numbers[:count])
        if free:  # the list may be what is damaged
            free.difference_update(*(_children(self._page(number)) for number in self._versions))
        return free


def meta_crc(meta: Mapping[str, str]) -> str:
    """Return the check value of what says whose an outbox is and which generation it has."""
    return str(zlib.crc32("\n".join(f"{key} {meta[key]}" for key in sorted(meta) if key != "crc").encode()))


def _generation_of(row: Row) -> int | None:
    """Return the erase generation of a record; None for what is none."""
    try:
        return msgspec.json.decode(row.payload, type=_Generation).gen
    except JSON_ERRORS:
        return None


def _is_of(row: Row, generation: int) -> bool:
    of_row = _generation_of(row)
    return of_row is None or of_row >= generation


def frames(wal: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield page number and offset of each page in a write-ahead log, those after a damaged one too."""
    header = _read(wal, 0, _WAL_HEADER)
    size = os.fstat(wal.fileno()).st_size
    if len(header) < _WAL_HEADER:
        return
    salt = header[16:24]
    if not _is_wal_header(header):
        salt = _read(wal, _WAL_HEADER, _FRAME_HEADER)[8:16]
    for offset in range(_WAL_HEADER, size - _FRAME_HEADER - PAGE_BYTES + 1, _FRAME_HEADER + PAGE_BYTES):
        frame = _read(wal, offset, _FRAME_HEADER)
        if frame[8:16] == salt:  # else it is left from before the last checkpoint
            yield int.from_bytes(frame[:4], "big"), offset + _FRAME_HEADER


def _is_wal_header(header: bytes) -> bool:
    """Return whether the header of a log has its check value, a sum in the machine's or in network order."""
    order = ">" if header[3] & 1 else "<"
    one = two = 0
    words = struct.unpack(f"{order}6I", header[:24])
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return struct.pack(">2I", one, two) == header[24:32]


def _read(file: BinaryIO, offset: int, size: int = PAGE_BYTES) -> bytes:
    """Return what the disk gives of a place; nothing where it cannot be read."""
    try:
        return os.pread(file.fileno(), size, offset)
    except OSError:
        return b""


def _meta_in(page: bytes, read_page: Callable[[int], bytes]) -> dict[str, str]:
    """Return the keys and values of a page of the table `meta`, whose rows lie in an index."""
    found: dict[str, str] = {}
    if page[0] != _INDEX_LEAF:
        return found
    for (pointer,) in struct.iter_unpack(
        ">H", page[8 : 8 + 2 * int.from_bytes(page[3:5], "big") & ~1][: PAGE_BYTES - 8]
    ):
        try:
            size, start = _varint(page, pointer)
            match _values(_payload(page, start, size, read_page, _MOST_IN_INDEX)):
                case [str(key), str(value)]:
                    found[key] = value
        except _MALFORMED:
            continue
    return found


def _cells(page: bytes, read_page: Callable[[int], bytes]) -> Iterator[tuple[Any, ...] | None]:
    """Yield key and values of each row in a page of a table; None for one that cannot be read."""
    start = 100 if page.startswith(b"SQLite format 3") else 0
    if page[start] != _LEAF:
        return
    for pointer in _pointers(page, start):
        try:
            size, at_key = _varint(page, pointer)
            key, at_payload = _varint(page, at_key)
            yield (key, *_values(_payload(page, at_payload, size, read_page, _MOST_IN_TABLE)))
        except _MALFORMED:
            yield None


def _pointers(page: bytes, start: int, header: int = 8) -> list[int]:
    """Return the places of the cells of a page of a tree, whose header begins at `start`; an inner one's is longer."""
    first = start + header
    last = min(first + 2 * int.from_bytes(page[start + 3 : start + 5], "big"), PAGE_BYTES)
    return [int.from_bytes(page[at : at + 2], "big") for at in range(first, last, 2)]


def _children(page: bytes) -> set[int]:
    """Return the pages to which a page of a tree refers, if it is an inner one of a table."""
    if not page or page[0] != _INNER:
        return set()
    places = [8, *(place for place in _pointers(page, 0, 12) if place <= PAGE_BYTES - 4)]
    return {int.from_bytes(page[place : place + 4], "big") for place in places}


def _is_row(cell: tuple[Any, ...]) -> bool:
    """Return whether a cell has the columns of the table `rows`, without or with a check value."""
    return len(cell) in {7, 8} and cell[1] is None


def _raw(cell: tuple[Any, ...]) -> Raw:
    return Raw._make((cell[0], *cell[2:7], cell[7] if len(cell) == 8 else None))


def _payload(page: bytes, start: int, size: int, read_page: Callable[[int], bytes], most: int) -> bytes:
    """Return the payload of a cell, with what of it lies on other pages; on its own it has `most` bytes."""
    if not 0 <= size <= _LARGEST_ROW:
        raise ValueError(f"no row of ours has {size} bytes")
    if size <= most:
        content = page[start : start + size]
    else:
        least = (PAGE_BYTES - 12) * 32 // 255 - 23
        local = least + (size - least) % (PAGE_BYTES - 4)
        local = local if local <= most else least
        content = page[start : start + local]
        (number,) = struct.unpack_from(">I", page, start + local)
        while number and len(content) < size:
            part = read_page(number)
            (number,) = struct.unpack_from(">I", part, 0)
            content += part[4:]
    if len(content) < size:
        raise ValueError("the page ends before the cell does")
    return content[:size]


def _values(record: bytes) -> list[Any]:
    """Return the values of a record."""
    header, at_type = _varint(record, 0)
    at = header
    values: list[Any] = []
    while at_type < header:
        kind, at_type = _varint(record, at_type)
        if kind < 7:
            size = _INTEGER_BYTES[kind]
            values.append(int.from_bytes(record[at : at + size], "big", signed=True) if kind else None)
        elif kind in {8, 9}:
            size = 0
            values.append(kind - 8)
        elif kind >= 12:
            size = (kind - 12) // 2
            values.append(record[at : at + size] if kind % 2 == 0 else record[at : at + size].decode())
        else:
            raise ValueError(f"serial type {kind} is in none of our tables")
        at += size
    if at > len(record):
        raise ValueError("the record ends before its values do")
    return values


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return an integer of variable length, up to nine bytes, and the place after it."""
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    value = value << 8 | data[at + 8]
    return value - (value >> 63 << 64), at + 9
