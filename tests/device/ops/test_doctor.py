"""The doctor on real parts: healthy, and with each fault provoked."""

import ctypes.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
from brokers import ACCOUNTS, DEVICE, OTHER_DEVICE, RunningBroker, free_port, running_broker
from outboxes import BOOT, open_outbox, put
from rooms import ROOT, Room
from services import RunningStore, running_store, wait_until

import models.bundle
import moodwire
from broker import topics
from device.ops import doctor_machine
from device.ops.doctor_audio import Holder, holders
from device.settings import DeviceSettings
from device.system import clock
from models.frontend import Samples
from models.runtime import synthetic_clip

NAMES = ["microphone", "level", "speech_gate", "model", "broker", "server", "clock", "disk", "outbox", "permissions"]
SAMPLES = 32_000


class Hospital(NamedTuple):
    """The services of a healthy installation."""

    broker: RunningBroker
    store: RunningStore
    ingest: Room


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """Run broker, store and ingest for the tests that do not harm them."""
    folder = tmp_path_factory.mktemp("services")
    with running_broker(folder / "broker") as broker, running_store(folder / "store") as store:
        login = {"mqtt_username": "server", "mqtt_password": ACCOUNTS["server"]}
        with Room(folder, "server", "ingest", redis_url=store.url, mqtt_url=broker.url, **login) as ingest:
            ingest.says("the store is there")
            yield Hospital(broker, store, ingest)


@pytest.fixture(autouse=True)
def a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the settings be those of a device whose clips and whose broker are away, which saves time."""
    (tmp_path / "state").mkdir()
    settings = {
        "clips": tmp_path / "room.wav",
        "listen_s": 1,
        "state_dir": tmp_path / "state",
        "identity": DEVICE,
        "mqtt_url": f"mqtt://127.0.0.1:{free_port()}",
        "mqtt_password": ACCOUNTS[DEVICE],
    }
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("device.ops.doctor.PATIENCE_S", 60.0)  # a busy machine answers late
    monkeypatch.setattr("device.ops.doctor_network.ANSWER_S", 25.0)
    for name, value in settings.items():
        monkeypatch.setenv(f"MOODWIRE_{name.upper()}", str(value))


def noise(dbfs: float) -> Samples:
    """Return two seconds of steady noise of this level."""
    samples = np.random.default_rng(1).normal(0, 32_768 * 10 ** (dbfs / 20), SAMPLES)
    return np.clip(np.rint(samples), -32_768, 32_767).astype(np.int16)


class Diagnosis(NamedTuple):
    """What the doctor printed as JSON."""

    code: int
    results: dict[str, str]
    told: dict[str, str]
    """What is seen, and what to do, by check."""


def examine(capsys: pytest.CaptureFixture[str], *flags: str) -> Diagnosis:
    """Run the doctor as a machine would."""
    capsys.readouterr()
    code = moodwire.main(["device", "doctor", "--json", *flags])
    report = json.loads(capsys.readouterr().out)
    assert [check["name"] for check in report["checks"]] == NAMES
    assert (report["result"] == "fail") == (code == 1)
    return Diagnosis(
        code,
        {check["name"]: check["result"] for check in report["checks"]},
        {check["name"]: f"{check['seen']} -> {check['todo']}" for check in report["checks"]},
    )


def test_a_healthy_device_is_called_healthy(
    hospital: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All is well, up to the answer of the store; and the store keeps nothing of the question but the device's id."""
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


def test_a_device_that_runs_is_not_disturbed(
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

    assert (found.results["broker"], found.results["server"], found.results["outbox"]) == ("ok", "ok", "ok")
    assert "a running device uses it" in found.told["outbox"]
    assert told == []
    assert "refuses" not in said
    assert "lost" not in said


@pytest.mark.parametrize(
    ("sound", "finding", "told"),
    [
        (np.zeros(SAMPLES, np.int16), ("microphone", "fail"), "exact zeros"),
        (noise(-30), ("speech_gate", "warn"), "moodwire device calibrate"),
        (noise(-2), ("level", "warn"), "gain down"),
        (noise(-100), ("level", "warn"), "gain up"),
        (synthetic_clip(SAMPLES), ("speech_gate", "warn"), "was taken for speech"),
        (np.ones(10, np.int16), ("microphone", "fail"), "s of sound came"),
    ],
    ids=["zeros", "loud background", "clipping", "faint", "speech", "too short"],
)
def test_what_is_wrong_with_the_sound_is_said(
    sound: Samples, finding: tuple[str, str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Digital silence, a gate below the background, clipping, a faint or a broken microphone have each their word."""
    soundfile.write(tmp_path / "room.wav", sound, 16_000)
    check, result = finding

    found = examine(capsys)

    assert found.results[check] == result, found.told
    assert told in found.told[check]


def test_a_machine_without_a_microphone_is_told_what_to_do(tmp_path: Path) -> None:
    """The other checks are made all the same."""
    environment = {name: value for name, value in os.environ.items() if name != "MOODWIRE_CLIPS"}
    ended = subprocess.run(
        [sys.executable, "-m", "moodwire", "device", "doctor", "--mic", "no such microphone"],
        env=environment | {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == 1
    assert "FAIL  microphone" in ended.stdout
    assert "ok    model" in ended.stdout


@pytest.mark.skipif(
    ctypes.util.find_library("portaudio") is None,
    reason="PortAudio is not installed (Debian: apt install libportaudio2)",
)
def test_a_microphone_that_hangs_holds_nothing_up(tmp_path: Path) -> None:
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
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1, ended.stderr
    assert "FAIL  microphone   no answer within 2 s" in ended.stdout


def test_the_process_that_holds_a_microphone_is_named(tmp_path: Path) -> None:
    """A capture device that another process has open is found, with its process and command."""
    device = tmp_path / "pcmC1D0c"
    device.touch()
    with device.open() as opened, subprocess.Popen(["sleep", "60"], stdin=opened) as holding:
        wait_until(lambda: b"sleep" in Path(f"/proc/{holding.pid}/cmdline").read_bytes(), "sleep runs")
        found = list(holders(tmp_path))
        holding.kill()

    assert found == [Holder(holding.pid, "sleep 60", str(device))]


def test_a_broken_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One changed byte is enough."""
    folder = shutil.copytree(models.bundle.find(models.bundle.DEFAULT), tmp_path / "bundle")
    model = bytearray((folder / "model.tflite").read_bytes())
    model[5_000] ^= 1
    (folder / "model.tflite").write_bytes(model)

    found = examine(capsys, "--model", str(folder))

    assert found.results["model"] == "fail"
    assert "sha256" in found.told["model"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for answers that will not come only a second."""
    monkeypatch.setattr("device.ops.doctor_network.ANSWER_S", 1.0)


@pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning")  # paho leaves a failed handshake's socket behind
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl:pytest.PytestUnraisableExceptionWarning")
def test_a_broker_that_is_away_or_wrong_is_named(
    hospital: Hospital, impatient: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody there, no login, no TLS and a port that says nothing are told apart."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        found = {
            "away": examine(capsys),
            "login": examine(capsys, "--mqtt-url", hospital.broker.url, "--mqtt-password", "wrong"),
            "tls": examine(capsys, "--mqtt-url", hospital.broker.url.replace("mqtt://", "mqtts://")),
            "mute": examine(capsys, "--mqtt-url", f"mqtt://127.0.0.1:{mute.getsockname()[1]}"),
            "ca": examine(capsys, "--mqtt-url", "mqtts://127.0.0.1", "--mqtt-ca-file", "/no/such/file"),
        }

    words = {
        "away": "Connection refused",
        "login": "mqtt_password",
        "tls": "TLS",
        "mute": "says nothing",
        "ca": "/no/such/file",
    }
    for name, diagnosis in found.items():
        assert diagnosis.code == 1
        assert (diagnosis.results["broker"], diagnosis.results["server"]) == ("fail", "skip")
        assert words[name] in diagnosis.told["broker"]


def test_a_server_that_is_away_is_told_from_one_that_never_was(
    tmp_path: Path, impatient: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without ingest the broker knows of no server; with its last word `offline` it is away; `broker` asks nobody."""
    with running_broker(tmp_path / "broker") as broker:
        never = examine(capsys, "--mqtt-url", broker.url)
        nobody = examine(capsys, "--mqtt-url", broker.url, "--confirm", "broker")
        with broker.client("server") as server:
            server.publish(topics.SERVER_STATUS, b'{"v":1,"state":"offline"}', qos=1, retain=True).wait_for_publish(5)
            away = examine(capsys, "--mqtt-url", broker.url)
            server.publish(topics.SERVER_STATUS, b'{"v":1,"state":"online"}', qos=1, retain=True).wait_for_publish(5)
            mute = examine(capsys, "--mqtt-url", broker.url)

    assert [found.results["server"] for found in (never, nobody, away, mute)] == ["fail", "skip", "fail", "fail"]
    assert "knows of no server" in never.told["server"]
    assert "it is away" in away.told["server"]
    assert "has not answered" in mute.told["server"]


def test_an_account_that_is_not_the_device_gets_no_answer(
    hospital: Hospital, impatient: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The broker lets it in, but what it says under another id goes nowhere, and that is said."""
    login = ["--mqtt-username", OTHER_DEVICE, "--mqtt-password", ACCOUNTS[OTHER_DEVICE]]

    found = examine(capsys, "--mqtt-url", hospital.broker.url, *login)

    assert found.results["server"] == "fail"
    assert "mqtt_username must be the device id" in found.told["server"]


def test_a_state_folder_that_cannot_be_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file in its place is a fault; a folder that is not there yet is only worth a word, and is not made."""
    (tmp_path / "file").touch()
    broken = examine(capsys, "--state-dir", str(tmp_path / "file"))
    missing = examine(capsys, "--state-dir", str(tmp_path / "later"), "--identity", "random")

    assert (broken.results["disk"], missing.results["disk"]) == ("fail", "warn")
    assert missing.results["outbox"] == missing.results["broker"] == "skip"
    assert not (tmp_path / "later").exists()


def test_what_waits_and_what_was_refused_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Waiting records are counted with their age; refused ones are listed by reason; a broken file is a fault."""
    outbox = open_outbox(tmp_path / "state", max_age_s=86_400)
    for seq in range(3):
        put(outbox, seq, clock.now_ms() - 7_300_000)
    outbox.refuse(BOOT, 0, 0, "from more than five minutes ahead")
    outbox.close()
    refused = examine(capsys)
    (tmp_path / "state" / "outbox.sqlite").write_bytes(bytes(8_192))
    broken = examine(capsys)

    assert (refused.results["outbox"], broken.results["outbox"]) == ("warn", "fail")
    assert "2 records wait, the oldest for 2 h" in refused.told["outbox"]
    assert "refused 1: from more than five minutes ahead (1)" in refused.told["outbox"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user for a moment")
def test_a_state_folder_of_another_user_is_named() -> None:
    """Whoever may not look into the folder of the service is told to become its user."""
    with tempfile.TemporaryDirectory() as folder:  # not below pytest's, into which nobody else may look at all
        settings = DeviceSettings(state_dir=Path(folder))
        os.seteuid(65_534)
        try:
            found = [
                check(settings) for check in (doctor_machine.outbox, doctor_machine.disk, doctor_machine.permissions)
            ]
        finally:
            os.seteuid(0)

    assert [finding.result for finding in found] == ["fail", "fail", "warn"]
    assert "may not be read by this user" in found[0].seen
    assert "belongs to user 0" in found[2].seen


def test_little_space_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """An outbox that may grow beyond the disk is worth a word."""
    found = examine(capsys, "--outbox-max-mb", "1000000")

    assert found.results["disk"] == "warn"
    assert "outbox_max_mb" in found.told["disk"]


def test_the_clock_is_judged_by_the_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    """A clock that is not synchronised is worth a word, with how long records wait for it."""
    found = examine(capsys, "--clock-wait-s", "300")

    assert found.results["clock"] == ("ok" if clock.synced() else "warn")
    assert ("300 s" in found.told["clock"]) != clock.synced()


def test_a_secret_that_everybody_may_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So is running as root, which no device needs."""
    (tmp_path / "password").write_text("secret")
    (tmp_path / "password").chmod(0o644)
    monkeypatch.delenv("MOODWIRE_MQTT_PASSWORD")
    monkeypatch.setenv("MOODWIRE_MQTT_PASSWORD_FILE", str(tmp_path / "password"))

    found = examine(capsys)

    assert found.results["permissions"] == "warn"
    assert f"chmod o-r {tmp_path / 'password'}" in found.told["permissions"]
    assert ("root" in found.told["permissions"]) == (os.geteuid() == 0)


@pytest.mark.parametrize("flags", [["--mqtt-url", "http://broker"], ["--listen-s", "9"], ["--identity", "kitchen"]])
def test_settings_that_are_not_usable_end_it(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """They are no finding about the device: one sentence and exit code 2."""
    assert moodwire.main(["device", "doctor", *flags]) == 2
    assert flags[1] in capsys.readouterr().err
