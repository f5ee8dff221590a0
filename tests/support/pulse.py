"""A real sound server with one null sink: its microphone records what is played into the sink, in real time."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from patience import CHILD_S
from services import wait_until

from models.frontend import Samples

MICROPHONE = "pulsemic"
PLUGIN = "lib*/**/alsa-lib/libasound_module_pcm_pulse.so"
"""The ALSA plugin, below /usr, through which PortAudio reaches PulseAudio."""
PROGRAMS = ("pulseaudio", "pactl", "pacat")


class SoundServer:
    """PulseAudio as a child process that can be killed and started again; the sink's monitor is the only microphone."""

    def __init__(self, folder: Path) -> None:
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        missing += [] if any(Path("/usr").glob(PLUGIN)) else [Path(PLUGIN).name]
        if missing:
            packages = "pulseaudio pulseaudio-utils libasound2-plugins"
            pytest.skip(f"not installed: {', '.join(missing)} (Debian: apt install {packages})")
        runtime = folder / "run"
        runtime.mkdir(mode=0o700)
        self._log = folder / "pulse.log"
        self._sound = folder / "played.raw"
        self.environment = os.environ | {"HOME": str(folder), "XDG_RUNTIME_DIR": str(runtime)}
        (folder / ".asoundrc").write_text(
            f'pcm.{MICROPHONE} {{ type pulse  device "spk.monitor"  hint {{ show on description "{MICROPHONE}" }} }}\n'
        )
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers: the microphone is plugged in."""
        argv = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
        modules = [
            "module-native-protocol-unix auth-anonymous=1",
            "module-null-sink sink_name=spk rate=16000 channels=1 format=s16le",
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*argv, *(part for module in modules for part in ("-L", module))],
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, "PulseAudio answers")

    def stop(self) -> None:
        """Kill it: the microphone is unplugged."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Suspend it: the microphone is there but delivers nothing, and closing it hangs."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it."""
        self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def playing(self, sound: Samples) -> Iterator[None]:
        """Play 16 kHz mono sound into the sink until it ends or the context does."""
        self._sound.write_bytes(sound.tobytes())
        argv = ["pacat", "--playback", "--raw", "--rate=16000", "--channels=1", "--format=s16le", "--device=spk"]
        with subprocess.Popen(
            [*argv, str(self._sound)], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as player:
            try:
                yield
            finally:
                player.kill()

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        found = subprocess.run(
            ["pactl", "info"], env=self.environment, capture_output=True, timeout=CHILD_S, check=False
        )
        return found.returncode == 0


@contextmanager
def sound_server(folder: Path) -> Iterator[SoundServer]:
    """Run a sound server in a folder while the context lasts."""
    server = SoundServer(folder)
    try:
        yield server
    finally:
        server.stop()
