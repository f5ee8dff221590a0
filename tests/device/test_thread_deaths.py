"""A thread that dies ends the device, with a sentence and code 1, so that systemd starts it again."""

import subprocess
import sys
from pathlib import Path

import pytest
from brokers import DEVICE, free_port
from patience import CHILD_S
from rooms import ROOT

RUN = """
import sys, threading
from pathlib import Path
import device.cli, device.health_reporter, device.runner
from device.delivery.session import Session
from device.health_reporter import HealthReporter
from device.control.commands import Commands
from device.runner import Runner
from device.settings import DeviceSettings

def die(*_args, **_more):
    raise KeyError(11)

def start_one(name):
    def start(_runner):
        threading.Thread(target=die, name=name, daemon=True).start()
    return start

device.health_reporter.FIRST_S = 0.1
match sys.argv[1]:
    case "sender": Session._take_acknowledgements = die
    case "paho": Session.last_will = die
    case "health": HealthReporter._report = die
    case "commands": Commands.wait = die
    case name: Runner._announce_ready = start_one(name)
_, _, clips, identity, broker, state = sys.argv
settings = DeviceSettings(clips=clips, loop=True, identity=identity, mqtt_url=broker, state_dir=Path(state))
sys.exit(device.cli.run(settings))
"""
"""A device in which one thread dies."""


@pytest.mark.slow
@pytest.mark.parametrize("thread", ["sender", "paho", "health", "commands", "microphone", "any other"])
def test_a_dead_thread_ends_the_device(tmp_path: Path, thread: str) -> None:
    """Whichever thread dies, the process says which and of what, without a traceback, and ends with code 1."""
    nobody = f"mqtt://127.0.0.1:{free_port()}"
    argv = [sys.executable, "-c", RUN, thread, str(ROOT / "samples"), DEVICE, nobody, str(tmp_path)]
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=CHILD_S, check=False)

    assert ended.returncode == 1, ended.stderr
    assert f"thread {thread}" in ended.stderr
    assert "has died of KeyError (11) in " in ended.stderr
    assert "Traceback" not in ended.stderr.partition("has died")[0]
