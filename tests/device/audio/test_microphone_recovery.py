"""Recovery of a microphone that is unplugged, silent or hung, with the real PortAudio and a real sound server."""

import ctypes.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import CHILD_S, Patience
from pulse import MICROPHONE, SoundServer, sound_server

from device.audio.level import level_dbfs
from models.runtime import synthetic_clip

pytestmark = [
    pytest.mark.audio,
    pytest.mark.skipif(
        ctypes.util.find_library("portaudio") is None,
        reason="PortAudio is not installed (Debian: apt install libportaudio2)",
    ),
]
VOICE = synthetic_clip(16_000)
VOICE_DBFS = level_dbfs(VOICE)
LONG_VOICE = np.tile(VOICE, 120)
BOUND_S = 90.0

# PortAudio finds ALSA's configuration by the environment of its process, so each test listens in one of its own.
LISTEN = """
import json, logging, sys, threading, time
from device.audio import capture, microphone
from device.audio.level import level_dbfs
from device.audio.source import SourceError
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
microphone.HUNG_S, capture.STALLED_S = float(sys.argv[2]), float(sys.argv[3])
source = microphone.Microphone(sys.argv[1])
told = {"blocks": 0, "gaps": 0, "level": -120.0, "end_ms": [], "ended": None}
def listen():
    try:
        while (block := source.read()) is not None:
            told["blocks"] += 1
            told["gaps"] += block.after_gap
            told["level"] = level_dbfs(block.samples)
            told["end_ms"] = [*told["end_ms"][-9:], block.end_ms]
        told["ended"] = "closed"
    except SourceError as error:
        told["ended"] = str(error)
threading.Thread(target=listen, daemon=True).start()
def say():
    while True:
        print(json.dumps(told | {"capture": source.capture, "reopened": source.reopened}), flush=True)
        time.sleep(0.05)
threading.Thread(target=say, daemon=True).start()
sys.stdin.readline()
source.close()
print(json.dumps(told | {"capture": source.capture, "reopened": source.reopened, "closed": True}), flush=True)
"""


class Listener:
    """A process that listens to the sound server's microphone and tells how it is twenty times a second."""

    def __init__(self, server: SoundServer, folder: Path, hung_s: float, stalled_s: float) -> None:
        self._log = folder / "listener.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LISTEN, MICROPHONE, str(hung_s), str(stalled_s)],
                env=server.environment,
                cwd=Path(__file__).parents[3],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first that it tells of which the condition is true."""
        assert self.process.stdout is not None
        seen = None
        patience = Patience(BOUND_S)
        for line in self.process.stdout:
            seen = json.loads(line)
            if condition(seen):
                return dict(seen)
            if not patience.is_left:
                break
        raise AssertionError(f"in vain, or the listener ended; last told: {seen}; log: {self.log}")

    def close(self) -> dict[str, Any]:
        """Ask it to close the microphone, and return the last that it tells."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.until(lambda told: "closed" in told)

    @property
    def log(self) -> str:
        """What it logged."""
        return self._log.read_text()


@contextmanager
def listening(server: SoundServer, folder: Path, hung_s: float = 60.0, stalled_s: float = 5.0) -> Iterator[Listener]:
    """Run a listener for as long as the context lasts."""
    listener = Listener(server, folder, hung_s, stalled_s)
    try:
        yield listener
    finally:
        listener.process.kill()
        listener.process.communicate()


def test_a_microphone_that_is_unplugged_and_plugged_in_again_is_heard_again(tmp_path: Path) -> None:
    """Meanwhile it is `missing`; then sound flows again, after a marked gap, with correct times and one reopening."""
    with sound_server(tmp_path) as server, listening(server, tmp_path) as listener:
        with server.playing(LONG_VOICE):
            before = listener.until(lambda told: abs(told["level"] - VOICE_DBFS) < 6)
            assert (before["capture"], before["reopened"], before["gaps"]) == ("ok", 0, 1)

            server.stop()
        away = listener.until(lambda told: told["capture"] == "missing")
        assert away["reopened"] == 0

        server.start()
        with server.playing(LONG_VOICE):
            back = listener.until(lambda told: told["blocks"] > away["blocks"] + 10 and told["level"] > -40)
        assert (back["capture"], back["reopened"], back["gaps"]) == ("ok", 1, 2)
        assert 500 < back["end_ms"][-1] - back["end_ms"][0] < 1_500, "ten blocks of 100 ms, dated by the clock"
        assert listener.close()["ended"] in {None, "closed"}
        assert listener.log.count("is missing; waiting for it") == 1
        assert listener.log.count("delivers sound again") == 1


def test_exact_zeros_are_reported_until_sound_comes(tmp_path: Path) -> None:
    """A silent microphone is logged once, not reopened, and `ok` again when it hears."""
    with sound_server(tmp_path) as server, listening(server, tmp_path) as listener:
        zeros = listener.until(lambda told: told["capture"] == "zeros")
        assert zeros["blocks"] >= 30, "three seconds of them"

        with server.playing(LONG_VOICE):
            told = listener.until(lambda told: told["capture"] == "ok")
        assert told["reopened"] == 0
        assert listener.log.count("delivers exact zeros") == 1
        assert listener.log.count("delivers sound again") == 1


def test_a_hung_sound_server_is_reported_and_recovered_from_or_given_up(tmp_path: Path) -> None:
    """While closing hangs it is `stalled`; later it is heard again, or the device gives up with an error."""
    (tmp_path / "other").mkdir()
    with (
        sound_server(tmp_path) as server,
        listening(server, tmp_path, stalled_s=3.0) as patient,
        listening(server, tmp_path / "other", hung_s=0.2, stalled_s=3.0) as impatient,
    ):
        before = patient.until(lambda told: told["blocks"] > 0)
        impatient.until(lambda told: told["blocks"] > 0)

        server.freeze()
        stalled = patient.until(lambda told: told["capture"] == "stalled")
        assert stalled["ended"] is None
        ended = impatient.until(lambda told: told["ended"] is not None)
        assert "restart the device" in ended["ended"]
        impatient.close()
        assert impatient.process.wait(CHILD_S) == 0, "a process can end although PortAudio hangs"

        server.thaw()
        back = patient.until(lambda told: told["capture"] == "ok" and told["reopened"] > 0)
        assert back["blocks"] > before["blocks"]
