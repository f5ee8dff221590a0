"""Run a program under strace, and search everything that it gave away for sound.

Given away is what system calls write to a file, a socket or a pipe, and the content of files mapped shared and
writable. Calls that move data without showing it to a tracer (memory files, splices, rings, other processes' memory)
are listed.
"""

import base64
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from models.frontend import Samples

WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg")
UNSEEN = (
    *("splice", "tee", "vmsplice", "sendfile", "copy_file_range", "memfd_create", "memfd_secret", "shmget", "mq_open"),
    *("io_uring_setup", "io_submit", "process_vm_writev", "ptrace", "pidfd_getfd"),
)
"""Calls that could carry data out without showing it in their arguments."""
OPENS = ("open", "openat", "openat2", "creat")
RUN = 8
"""Samples that are compared at a time; any run of twice as many in the output is found."""

_CALL = re.compile(rb"^\d+ +(\w+)\((.*)$")
_TEXT = re.compile(rb'"((?:\\x[0-9a-f]{2})*)"')
_FD = re.compile(rb"^(?:\{msg_hdr=)?(\d+)<([^>]*)>")
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass
class GivenAway:
    """Data that a traced program gave away."""

    streams: dict[str, bytes] = field(default_factory=dict)
    """Everything it wrote, by file descriptor and target."""
    opened: set[str] = field(default_factory=set)
    """Files that it opened for writing."""
    mapped: set[str] = field(default_factory=set)
    """Files that it mapped shared and writable."""
    unseen: set[str] = field(default_factory=set)
    """Calls of `UNSEEN` that it made."""


@cache
def untraceable() -> str:
    """Return why programs cannot be traced on this machine; empty if they can."""
    if shutil.which("strace") is None:
        return "strace is not installed (Debian: apt install strace)"
    tried = subprocess.run(["strace", "-qq", "-e", "trace=none", "true"], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip()}"


def start_traced(argv: Sequence[str], trace: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program and its children under strace; the output goes to a file beside the trace."""
    calls = ",".join((*WRITES, *UNSEEN, *OPENS, "mmap"))
    # The question mark makes strace skip calls that it or this processor does not know.
    strace = ["strace", "-f", "-qq", "-xx", "-y", "-s", "100000000", "-e", f"trace=?{calls.replace(',', ',?')}"]
    with trace.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            [*strace, "-o", str(trace), *argv],
            env=dict(environment),
            cwd=Path(__file__).parents[2],
            stdout=log,
            stderr=log,
        )


def read_trace(trace: Path) -> GivenAway:
    """Return what the traced program gave away."""
    found = GivenAway()
    streams: defaultdict[str, bytearray] = defaultdict(bytearray)
    for line in trace.read_bytes().splitlines():
        call = _CALL.match(line)  # a line that resumes a call repeats no arguments
        if call is None:
            continue
        name, rest = call[1].decode(), call[2]
        if name in WRITES:
            target = _FD.match(rest)
            assert target is not None, f"a write that cannot be read: {line[:200]!r}"
            for text in _TEXT.finditer(rest):
                streams[f"{target[1].decode()}<{_unescape(target[2]).decode()}>"] += _unescape(text[1])
        elif name in UNSEEN:
            found.unseen.add(name)
        elif name in OPENS and re.search(rb"O_WRONLY|O_RDWR|O_CREAT", rest) and b" = -1 " not in rest:
            path = _TEXT.search(rest)
            assert path is not None, f"an open that cannot be read: {line[:200]!r}"
            found.opened.add(_unescape(path[1]).decode())
        elif name == "mmap" and b"MAP_SHARED" in rest and b"PROT_WRITE" in rest:
            mapped = re.search(rb"\d+<([^>]*)>", rest)
            found.mapped.add(_unescape(mapped[1]).decode() if mapped else "shared memory without a file")
    found.streams = {target: bytes(data) for target, data in streams.items()}
    return found


class SoundSearch:
    """Search for any sixteen successive samples of a sound in data, in many encodings.

    It finds 16-bit and 32-bit integers and 32-bit and 64-bit floats (in units of full scale or of samples) in both byte
    orders, hexadecimal and Base64 of 16-bit samples, and decimal numbers with anything between them. It does not find
    sound that was resampled, filtered, compressed or encrypted.
    """

    def __init__(self, sound: Samples) -> None:
        self._numbers = _chunks(sound.astype("<i8").tobytes(), RUN * 8)
        self._forms: dict[str, set[bytes]] = {}
        for order in ("<", ">"):
            for kind in ("i2", "i4", "f4", "f8"):
                self._forms[f"{order}{kind}"] = _chunks(sound.astype(order + kind).tobytes(), RUN * int(kind[1]))
            for kind in ("f4", "f8"):
                scaled = (sound / 32_768).astype(order + kind).tobytes()
                self._forms[f"{order}{kind}, full scale 1"] = _chunks(scaled, RUN * int(kind[1]))
            raw = sound.astype(order + "i2").tobytes()
            self._forms[f"hexadecimal of {order}i2"] = _chunks(raw.hex().encode(), RUN * 4)
            coded = [_chunks(base64.b64encode(raw[phase:]), RUN * 2 // 3 * 4) for phase in range(3)]
            self._forms[f"Base64 of {order}i2"] = set().union(*coded)

    def forms_in(self, data: bytes) -> set[str]:
        """Return the encodings in which the sound is in the data; empty if it is not there."""
        forms = {name for name, chunks in self._forms.items() if _holds(data, chunks)}
        values = np.nan_to_num([float(number) for number in _NUMBER.findall(data)], posinf=0, neginf=0)
        for scale in (1, 32_768):
            numbers = np.clip(np.rint(values * scale), -(2**40), 2**40).astype("<i8")
            windows = (numbers[start : start + RUN].tobytes() for start in range(len(numbers) - RUN + 1))
            forms |= {"decimal numbers" for window in windows if window in self._numbers}
        return forms


def _chunks(data: bytes, size: int) -> set[bytes]:
    return {data[start : start + size] for start in range(0, len(data) - size + 1, size)}


def _holds(data: bytes, chunks: set[bytes]) -> bool:
    size = len(next(iter(chunks)))
    return any(data[start : start + size] in chunks for start in range(len(data) - size + 1))


def contents(paths: Iterable[str]) -> dict[str, bytes]:
    """Return the content of those files that still exist."""
    return {path: Path(path).read_bytes() for path in paths if Path(path).is_file()}


def _unescape(text: bytes) -> bytes:
    return bytes.fromhex(text.replace(b"\\x", b"").decode()) if text.startswith(b"\\x") else text
