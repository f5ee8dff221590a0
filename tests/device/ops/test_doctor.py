"""The doctor on real parts: what it prints and returns, and that it disturbs and waits for nobody."""

import ctypes.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from brokers import ACCOUNTS, DEVICE
from diagnoses import NAMES, Hospital, examine, noise
from patience import CHILD_S
from rooms import ROOT, Room
from services import wait_until

import models.bundle
import moodwire
from broker import topics

pytestmark = pytest.mark.usefixtures("a_device")


def test_a_healthy_device_is_called_healthy(
    hospital: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All checks pass, up to the answer of the store, which keeps nothing of the question."""
    soundfile.write(tmp_path / "room.wav", noise(-70), 16_000)

    found = examine(capsys, "--mqtt-url", hospital.broker.url)

    healthy = [name for name in NAMES if name not in {"clock", "outbox", "permissions"}]
    assert {name: found.results[name] for name in healthy} == dict.fromkeys(healthy, "ok"), found.told
    assert found.code == 0
    assert "answered a record from its store" in found.told["server"]
    assert [key for key in hospital.store.client.keys("*") if DEVICE.encode() in key] == []


def test_people_see_a_table(hospital: Hospital, capsys: pytest.CaptureFixture[str]) -> None:
    """Each check has a line, and below it an arrow with what to do where there is something."""
    code = moodwire.main(["device", "doctor", "--mqtt-url", hospital.broker.url, "--mqtt-password", "wrong"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 1
    assert (
        f"ok    model        {models.bundle.load(models.bundle.find(models.bundle.DEFAULT)).manifest.name}"
        in "\n".join(lines)
    )
    (refused,) = [number for number, line in enumerate(lines) if line.startswith("FAIL  broker")]
    assert lines[refused + 1].startswith("                   -> check mqtt_password")


@pytest.mark.slow
def test_a_running_device_is_not_disturbed(
    hospital: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither its connection nor its retained status changes, and its outbox stays its own."""
    settings = {"mqtt_url": hospital.broker.url, "mqtt_password": ACCOUNTS[DEVICE], "identity": DEVICE}
    sound = {"clips": ROOT / "samples", "loop": True}
    seen: list[tuple[str, bytes]] = []
    with (
        hospital.broker.client("server", lambda topic, payload: seen.append((topic, payload))) as client,
        Room(tmp_path, "device", "run", **settings, **sound, state_dir=tmp_path / "state") as device,
    ):
        client.subscribe(topics.topic(DEVICE, "status"), 1)
        wait_until(lambda: [payload for _, payload in seen if b'"online"' in payload], f"it is online: {device.log}")
        seen.clear()
        found = examine(capsys, "--mqtt-url", hospital.broker.url)
        assert device.process.poll() is None
        said, told = device.log, list(seen)

    assert (found.results["broker"], found.results["server"], found.results["outbox"]) == ("ok", "skip", "ok")
    assert "refuses a wrong password" in found.told["broker"]
    assert "a running device uses it" in found.told["outbox"]
    assert told == []
    assert "refuses" not in said
    assert "lost" not in said


def test_a_machine_without_a_microphone_is_told_what_to_do(tmp_path: Path) -> None:
    """The other checks are still made."""
    environment = {name: value for name, value in os.environ.items() if name != "MOODWIRE_CLIPS"}
    ended = subprocess.run(
        [sys.executable, "-m", "moodwire", "device", "doctor", "--mic", "no such microphone"],
        env=environment | {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=CHILD_S,
        check=False,
    )

    assert ended.returncode == 1
    assert "FAIL  microphone" in ended.stdout
    assert "ok    model" in ended.stdout


@pytest.mark.slow
@pytest.mark.skipif(
    ctypes.util.find_library("portaudio") is None,
    reason="PortAudio is not installed (Debian: apt install libportaudio2)",
)
def test_a_microphone_that_hangs_does_not_block_the_doctor(tmp_path: Path) -> None:
    """Opening this one never returns, because nobody writes to its pipe; the doctor says so, and ends."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".asoundrc").write_text(
        f'pcm.hanging {{ type file slave.pcm "null" file "/dev/null" infile "{tmp_path / "pipe"}" format "raw"\n'
        '  hint { show on description "hanging" } }\n'
    )
    program = "import sys, moodwire, device.ops.doctor as it; it.PATIENCE_S = 2; sys.exit(moodwire.main(sys.argv[1:]))"
    environment = {name: value for name, value in os.environ.items() if name != "MOODWIRE_CLIPS"}
    ended = subprocess.run(
        [sys.executable, "-c", program, "device", "doctor", "--mic", "hanging"],
        env=environment | {"HOME": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=CHILD_S,
        check=False,
    )

    assert ended.returncode == 1, ended.stderr
    assert "FAIL  microphone   no answer within 2 s" in ended.stdout


@pytest.mark.parametrize("flags", [["--mqtt-url", "http://broker"], ["--listen-s", "9"], ["--identity", "kitchen"]])
def test_unusable_settings_end_the_doctor(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """They give one sentence and exit code 2 instead of findings."""
    assert moodwire.main(["device", "doctor", *flags]) == 2
    assert flags[1] in capsys.readouterr().err
