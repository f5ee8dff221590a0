"""No sound leaves the device's memory: whatever a listening device wrote, sent or shared is searched for it."""

import ctypes.util
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from brokers import ACCOUNTS, DEVICE, RunningBroker
from patience import CHILD_S
from pulse import MICROPHONE, sound_server
from services import wait_until
from syscalls import GivenAway, SoundSearch, contents, read_trace, start_traced, untraceable

from broker import topics
from broker.batches import split
from broker.messages import Reading, ServerStatus, Stored, decode, encode
from device.audio.level import level_dbfs
from models.frontend import Samples
from models.runtime import synthetic_clip

pytestmark = [pytest.mark.audio, pytest.mark.skipif(untraceable() != "", reason=untraceable())]
needs_portaudio = pytest.mark.skipif(
    ctypes.util.find_library("portaudio") is None,
    reason="PortAudio is not installed (Debian: apt install libportaudio2)",
)
READINGS = 3
MAY_OPEN = (
    r"/dev/null",
    r"{state}/outbox\S*",
    r"{state}/kept\.json(\.new)?",
    r"{state}/baseline\.json(\.new)?",
    r"{state}/(hardware|device)-id(\.new)?",
    r"/dev/snd/\S+",  # sound cards
    r"/dev/shm/jack_db-\d+/\S+",  # PortAudio asks whether a JACK server runs
    r"{home}/\.config/pulse/cookie",
)
MAY_MAP = (r"{state}/outbox\S*-shm", r"/dev/shm/jack_db-\d+/\S+", r"/dev/snd/\S+")


def recognisable(seconds: int) -> Samples:
    """Return a voice with random last bits, so that no few samples of it are anywhere else by chance."""
    voice = synthetic_clip(seconds * 16_000).astype(np.int32)
    voice += np.random.default_rng(16).integers(-256, 256, len(voice))
    return np.clip(voice, -32_768, 32_767).astype(np.int16)


SOUND = recognisable(10)
SEARCH = SoundSearch(SOUND)

LEAK = """
import array, base64, ctypes, json, mmap, os, socket, sys
how, sound, out = sys.argv[1:]
raw = open(sound, "rb").read()[1002:1002 + 2 * 16]  # sixteen samples, a thousandth of a second
samples = array.array("h", raw)
def write(data):
    with open(out, "ab", buffering=0) as file: file.write(data)
if how == "file": write(b"x" + raw)
elif how == "sample by sample": [write(raw[i:i + 2]) for i in range(0, len(raw), 2)]
elif how == "floats": write(b"xyz" + array.array("f", [sample / 32768 for sample in samples]).tobytes())
elif how == "socket": one, other = socket.socketpair(); one.sendmsg([b"x", raw]); other.close()
elif how == "log": print(base64.b64encode(b"x" + raw), file=sys.stderr)
elif how == "hexadecimal": write(raw.hex().encode())
elif how == "numbers": write(json.dumps({"scores": [round(s / 32768, 6) for s in samples]}).encode())
elif how == "mapped":
    write(bytes(4096))
    with open(out, "r+b") as file, mmap.mmap(file.fileno(), 4096) as page: page[99:99 + len(raw)] = raw
elif how == "memory file": os.memfd_create("hidden")
"""
"""A program that gives sound away, in one of many ways."""


@pytest.mark.parametrize(
    "how",
    ["file", "sample by sample", "floats", "socket", "log", "hexadecimal", "numbers", "mapped", "memory file"],
)
def test_a_program_that_gives_away_a_thousandth_of_a_second_is_caught(how: str, tmp_path: Path) -> None:
    """The search finds sixteen samples in any file, socket or pipe and form, and names what it cannot look into."""
    (tmp_path / "sound").write_bytes(SOUND.tobytes())
    argv = [sys.executable, "-c", LEAK, how, str(tmp_path / "sound"), str(tmp_path / "out")]

    assert start_traced(argv, tmp_path / "trace", os.environ).wait(CHILD_S) == 0

    found = read_trace(tmp_path / "trace")
    assert _leaks(found) or found.unseen == {"memfd_create"}


@needs_portaudio
def test_a_device_that_listens_gives_no_sound_away(tmp_path: Path, broker: RunningBroker) -> None:
    """While readings of a voice go out, no file, socket, pipe or shared memory gets any sixteen samples of it."""
    state = tmp_path / "state"
    with sound_server(tmp_path) as server, _confirmations(broker) as payloads, server.playing(np.tile(SOUND, 12)):
        # Sound shall come through a socket, not through memory that the device shares with the sound server.
        (tmp_path / ".config" / "pulse").mkdir(parents=True, exist_ok=True)
        (tmp_path / ".config" / "pulse" / "client.conf").write_text("enable-shm = no\n")
        settings = {"mic": MICROPHONE, "identity": DEVICE, "state_dir": state, "clock_wait_s": 0}
        settings |= {"mqtt_url": broker.url, "mqtt_password": ACCOUNTS[DEVICE]}
        environment = server.environment | {f"MOODWIRE_{name.upper()}": str(value) for name, value in settings.items()}
        argv = [sys.executable, "-m", "moodwire", "device", "run"]
        traced = start_traced(argv, tmp_path / "trace", environment)
        try:
            log = tmp_path / "trace.log"
            wait_until(lambda: len(payloads) >= READINGS, f"readings come; the device says: {log.read_text()}", 90)
            files = contents(read_trace(tmp_path / "trace").mapped)
        finally:
            os.kill(_child(traced.pid), signal.SIGTERM)
            assert traced.wait(CHILD_S) == 0, log.read_text()

    found = read_trace(tmp_path / "trace")
    readings = [decode(payload, Reading) for payload in payloads]
    levels = [reading.level_dbfs for reading in readings]
    assert levels == pytest.approx([level_dbfs(SOUND)] * len(levels), abs=3), "it was heard"
    assert _leaks(found) == {}
    assert _with_sound(files) == {}
    assert found.unseen == set()
    assert _others(found.opened, MAY_OPEN, tmp_path) == set()
    assert _others(found.mapped, MAY_MAP, tmp_path) == set()

    (sent,) = (data for target, data in found.streams.items() if "<socket:" in target and payloads[0] in data)
    seconds = 3 + (len(readings) - 1)
    assert len(sent) / seconds < 16_000 / 8, "what the broker gets is less than one bit for each sample"
    assert [encode(reading) for reading in readings] == payloads, "nothing hides beside what the contract names"


@contextmanager
def _confirmations(broker: RunningBroker) -> Iterator[list[bytes]]:
    """Be the server: confirm what comes, and return the payloads of the readings."""
    payloads: list[bytes] = []

    def take(topic: str, payload: bytes) -> None:
        for part in split(payload):
            reading = decode(part, Reading)
            payloads.append(part)
            stored = Stored(boot=reading.boot, stored=((reading.seq, reading.seq),))
            server.publish(topics.topic(DEVICE, "stored"), encode(stored), qos=1)

    with broker.client("server", take) as server:
        server.subscribe(topics.topic(DEVICE, "reading"), qos=1)
        server.publish(topics.SERVER_STATUS, encode(ServerStatus(state="online")), qos=1, retain=True)
        yield payloads


def _leaks(found: GivenAway) -> dict[str, set[str]]:
    """Return where the sound went, and in which forms."""
    return _with_sound(found.streams | contents(found.mapped))


def _with_sound(given: dict[str, bytes]) -> dict[str, set[str]]:
    return {target: forms for target, data in given.items() if (forms := SEARCH.forms_in(data))}


def _others(paths: set[str], allowed: tuple[str, ...], folder: Path) -> set[str]:
    """Return the paths that are not allowed."""
    places = {"state": re.escape(str(folder / "state")), "home": re.escape(str(folder))}
    patterns = [pattern.format(**places) for pattern in allowed]
    return {path for path in paths if not any(re.fullmatch(pattern, path) for pattern in patterns)}


def _child(pid: int) -> int:
    """Return the first child of a process."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
