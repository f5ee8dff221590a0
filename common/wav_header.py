"""Sizes in the headers of WAV and AIFF files, which are wrong where a program wrote into a pipe or was killed.

Sources: RIFF (IBM and Microsoft, Multimedia Programming Interface, 1991), RF64 (EBU Tech 3306), AIFF 1.3 (Apple, 1989).
"""

import io
import os
from typing import BinaryIO, Literal, NamedTuple

_ORDERS: dict[bytes, Literal["little", "big"]] = {b"RIFF": "little", b"RF64": "little", b"RIFX": "big", b"FORM": "big"}
_SOUND = (b"data", b"SSND")
_UNKNOWN = {4: 0x7F00_0000, 8: 1 << 62}
"""From these sizes on, by the width of the field, the writer did not know: ffmpeg, arecord, sox and espeak differ."""
_MOST_CHUNKS = 1_000
"""Where a header has more before its sound, libsndfile decides alone."""


class Header(NamedTuple):
    """What is wrong with the size of the sound."""

    is_cut: bool = False
    """Whether the file holds less than the header says, and the header can be believed."""
    repair: tuple[int, bytes] | None = None
    """Place in the file and what it should hold, where libsndfile would hear nothing; None for no need."""

    def repaired(self, file: io.RawIOBase) -> BinaryIO:
        """Return a view of the file with the repair."""
        assert self.repair, "asked only where there is one"
        return io.BufferedReader(_Patched(file, *self.repair))


class _Patched(io.RawIOBase):
    """A file in which some bytes read as others."""

    def __init__(self, file: io.RawIOBase, place: int, content: bytes) -> None:
        self._file = file
        self._place = place
        self._content = content

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        begin = self._file.tell()
        count = self._file.readinto(buffer) or 0
        for index, byte in enumerate(self._content, self._place - begin):
            if 0 <= index < count:
                buffer[index] = byte
        return count


def read(file: int) -> Header:
    """Return what is wrong with the sizes in an open file; an empty header for other formats.

    Args:
        file: Its descriptor, whose place stays as it is.
    """
    size = os.fstat(file).st_size
    container = os.pread(file, 12, 0)
    order = _ORDERS.get(container[:4])
    if order is None:
        return Header()
    place, long_sizes = 12, None
    for _ in range(_MOST_CHUNKS):
        head = os.pread(file, 8, place)
        if len(head) < 8:
            return Header()
        name, length = head[:4], int.from_bytes(head[4:], order)
        if name in _SOUND:
            break
        if name == b"ds64":
            long_sizes = place + 8
        place += 8 + length + length % 2
    else:
        return Header()
    there = size - place - 8
    at, width = place + 4, 4
    whole, claimed = int.from_bytes(container[4:8], order), length
    if long_sizes is not None and length == 0xFFFF_FFFF:
        at, width = long_sizes + 8, 8
        sizes = os.pread(file, 16, long_sizes)
        whole, claimed = (int.from_bytes(part, "little") for part in (sizes[:8], sizes[8:]))
    # A closed file says its whole size too; a size of 0 in another is what its writer had not filled in yet.
    is_open = claimed == 0 and whole + 8 != size
    if there > 0 and order == "little" and (is_open or (width == 8 and claimed >= _UNKNOWN[8])):
        return Header(repair=(at, min(there, (1 << 8 * width) - 1).to_bytes(width, order)))
    return Header(is_cut=there < claimed < _UNKNOWN[width])
