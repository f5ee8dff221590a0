"""The systemd unit: as systemd's own tools judge it, and as far as possible with the device under its restrictions."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from brokers import ACCOUNTS, DEVICE, RunningBroker
from patience import CHILD_S
from rooms import ROOT
from services import wait_until
from syscalls import untraceable

import moodwire
from broker import topics
from device.audio import capture, microphone
from device.ops import install

COMMAND = Path(sys.executable).with_name("moodwire")
MOST_EXPOSURE = 25
"""Of systemd's scale from 0 to 100 (its tables print a tenth of it)."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian: apt install systemd)"
)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root below which everything was written, by a moodwire that lies in no home folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("device.ops.install._code_folders", lambda _command: [Path("/opt/moodwire")])
    root = tmp_path / "root"
    assert moodwire.main(["device", "install", "--root", str(root)]) == 0
    return root


def unit_of(root: Path) -> Path:
    """Return the unit's path below a root."""
    return root / "etc" / "systemd" / "system" / install.UNIT


def output_of(*argv: str | Path) -> str:
    """Return what a program prints; fail with it when the program does."""
    ended = subprocess.run([*argv], capture_output=True, text=True, timeout=CHILD_S, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@needs_systemd
def test_systemd_finds_no_fault_in_the_unit(written: Path) -> None:
    """Each line is known to systemd, and the command is an absolute path that can be run."""
    assert f"ExecStart={COMMAND} device run\n" in unit_of(written).read_text()
    assert output_of("systemd-analyze", "verify", "--man=no", unit_of(written)) == ""


def test_commands_can_be_run_as_the_service_runs_them(written: Path) -> None:
    """`moodwire-device` is a program that any shell takes, and names the same command and settings as the unit."""
    wrapper = written / "usr" / "local" / "bin" / install.WRAPPER
    text = wrapper.read_text()

    assert wrapper.stat().st_mode & 0o777 == 0o755
    assert output_of("sh", "-n", wrapper) == ""
    assert f'runuser -u moodwire -- {COMMAND} device "$@"' in text
    assert ". /etc/moodwire/environment" in text


def test_a_user_who_is_not_root_is_told_how_to_run_commands(written: Path) -> None:
    """`moodwire-device` becomes the service's user, and says the whole line that may do so."""
    text = (written / "usr" / "local" / "bin" / install.WRAPPER).read_text()
    nobody = 65_534 if os.geteuid() == 0 else None

    ended = subprocess.run(
        ["sh", "-s", "mics", "--json"],
        input=text,
        user=nobody,
        capture_output=True,
        text=True,
        timeout=CHILD_S,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stderr.endswith(": sudo moodwire-device mics --json\n")


@needs_systemd
def test_the_unit_is_hardened(written: Path) -> None:
    """What the service could do to the machine is little, as systemd reckons it."""
    told = output_of("systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSURE}", unit_of(written))

    assert "Overall exposure level" in told


def test_a_hang_is_said_before_the_watchdog_ends_the_device() -> None:
    """Whoever reads the journal learns that PortAudio hangs, as the device gives up before systemd does."""
    found = re.search(r"^WatchdogSec=(\d+)$", install.TEMPLATE.read_text(), re.MULTILINE)
    assert found
    patience_s = int(found[1]) * 3 / 4  # the latest sign of life may be a quarter old when the sound stops
    noticed_s = capture.STALLED_S + microphone.CHECK_S

    assert noticed_s + microphone.HUNG_S + microphone.CHECK_S + microphone.CLOSING_S < patience_s


@pytest.mark.slow
@needs_systemd
@pytest.mark.skipif(bool(untraceable()), reason=untraceable())
def test_the_device_makes_only_system_calls_that_the_unit_allows(tmp_path: Path, broker: RunningBroker) -> None:
    """Start, listening, outbox, sending and a clean end: all of it is in the unit's list."""
    trace = tmp_path / "trace"
    environment = {
        "MOODWIRE_CLIPS": str(ROOT / "samples"),
        "MOODWIRE_STATE_DIR": str(tmp_path / "state"),
        "MOODWIRE_IDENTITY": DEVICE,
        "MOODWIRE_MQTT_URL": broker.url,
        "MOODWIRE_MQTT_PASSWORD": ACCOUNTS[DEVICE],
        "MOODWIRE_CLOCK_WAIT_S": "0",
        "MOODWIRE_LOOP": "1",
    }
    came: list[str] = []
    with (
        broker.client("server", lambda topic, _payload: came.append(topic)) as server,
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(  # the device is the child, so that a signal reaches it, and strace looks on
            ["strace", "-D", "-f", "-qq", "-o", trace, sys.executable, "-m", "moodwire", "device", "run"],
            env=os.environ | environment,
            cwd=ROOT,
            stderr=log,
        ) as device,
    ):
        server.publish(topics.SERVER_STATUS, b'{"v":1,"state":"online"}', qos=1, retain=True)
        server.subscribe(topics.topic(DEVICE, "reading"), 1)
        wait_until(lambda: came, "a reading comes")
        device.terminate()
        code = device.wait(CHILD_S)
    made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    if os.geteuid() == 0:
        made.discard("fchown")  # SQLite gives its files to their folder's owner, but only as root

    assert code == 0, (tmp_path / "log").read_text()
    assert {"adjtimex", "clock_adjtime"} & made, "the clock was asked"
    assert made - allowed() == set()


def allowed() -> set[str]:
    """Return the system calls that the unit's filter lets through, in the order of its lines."""
    groups = {}
    for block in output_of("systemd-analyze", "syscall-filter").split("\n\n"):
        head, *lines = block.strip().splitlines()
        groups[head.strip()] = [line.strip() for line in lines if not line.strip().startswith("#")]
    found: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.+)$", install.TEMPLATE.read_text(), re.MULTILINE):
        calls = {call for word in line.lstrip("~").split() for call in expanded(word, groups)}
        found = found - calls if line.startswith("~") else found | calls
    # Every process makes these before or while systemd's filter is in force (systemd.exec(5)).
    return found | expanded("@default", groups) | {"execve", "exit", "exit_group", "rt_sigreturn"}


def expanded(word: str, groups: dict[str, list[str]]) -> set[str]:
    """Return the system calls of a group and of the groups in it."""
    if not word.startswith("@"):
        return {word}
    return {call for part in groups[word] for call in expanded(part, groups)}


def test_what_people_fill_in_is_kept_and_is_not_for_everybody(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second installation writes the unit anew and leaves settings and password alone."""
    settings, password = (written / "etc" / "moodwire" / name for name in ("device.toml", "mqtt-password"))
    settings.write_text('[device]\nname = "Kitchen"\n')
    password.write_text("secret")
    unit_of(written).write_text("old")

    assert moodwire.main(["device", "install", "--root", str(written)]) == 0

    assert "Kitchen" in settings.read_text()
    assert password.read_text() == "secret"
    assert "[Service]" in unit_of(written).read_text()
    for path in (settings, password):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "journalctl -fu moodwire-device" in capsys.readouterr().out


def test_the_example_settings_are_settings(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that is written can be read as it is, and with its comments taken away."""
    settings = written / "etc" / "moodwire" / "device.toml"
    monkeypatch.setenv("MOODWIRE_CONFIG", str(settings))
    from device.settings import DeviceSettings  # noqa: PLC0415

    moodwire.read_settings("device run", "device", DeviceSettings, [])
    settings.write_text(re.sub(r"^# (\w+ = )", r"\1", settings.read_text(), flags=re.MULTILINE))

    assert moodwire.read_settings("device run", "device", DeviceSettings, []).name == "Kitchen"


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
def test_the_user_of_the_service_can_be_made(written: Path) -> None:
    """It is a system user without a shell, and in the group that may use sound cards."""
    output_of("systemd-sysusers", f"--root={written}")

    users = (written / "etc" / "passwd").read_text()
    assert re.search(
        r"^moodwire:x:\d{1,3}:\d+:moodwire device:/var/lib/moodwire:/usr/sbin/nologin$", users, re.MULTILINE
    )
    assert re.search(r"^audio:x:\d+:moodwire$", (written / "etc" / "group").read_text(), re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="systemd-tmpfiles is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder to another user")
def test_commands_can_keep_things_before_the_first_start(written: Path) -> None:
    """The state folder is there as soon as the device is installed, for its user alone; so are settings it may read."""
    output_of("systemd-sysusers", f"--root={written}")
    output_of("systemd-tmpfiles", "--create", f"--root={written}", "moodwire.conf")

    users = (written / "etc" / "passwd").read_text()
    numbers = re.search(r"^moodwire:x:(\d+):(\d+):", users, re.MULTILINE)
    assert numbers, users
    user, group = map(int, numbers.groups())
    state = (written / "var" / "lib" / "moodwire").stat()
    assert (state.st_uid, state.st_gid, stat.S_IMODE(state.st_mode)) == (user, group, 0o700)
    for name in ("device.toml", "mqtt-password"):
        file = (written / "etc" / "moodwire" / name).stat()
        assert (file.st_uid, file.st_gid, stat.S_IMODE(file.st_mode)) == (0, group, 0o640)


def test_a_dry_run_prints_the_unit_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It can be read, or piped to where it shall be."""
    assert moodwire.main(["device", "install", "--dry-run", "--root", str(tmp_path / "root")]) == 0

    assert capsys.readouterr().out == install.unit(COMMAND)
    assert not (tmp_path / "root").exists()


def test_an_environment_in_a_home_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service could not see it and would never start; where to put it instead is said."""
    monkeypatch.setattr(
        "device.ops.install._code_folders", lambda _command: [Path("/opt/moodwire"), Path("/home/pi/moodwire")]
    )

    assert moodwire.main(["device", "install", "--root", str(tmp_path / "root")]) == 2

    assert "/home/pi/moodwire lies in a home folder" in capsys.readouterr().err
    assert not (tmp_path / "root").exists()


def test_a_user_who_may_not_write_is_given_the_line_that_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is half done, and sudo is the way."""
    monkeypatch.setattr("device.ops.install._code_folders", lambda _command: [Path("/opt/moodwire")])
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    (tmp_path / "root").mkdir()
    (tmp_path / "root").chmod(0o500)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65_534)
    try:
        code = moodwire.main(["device", "install", "--root", str(tmp_path / "root")])
    finally:
        if was_root:
            os.seteuid(0)

    assert code == 2
    assert f"sudo {COMMAND} device install" in capsys.readouterr().err
