"""Notifications to systemd, received on a real datagram socket."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from brokers import DEVICE, free_port
from rooms import ROOT, Room
from services import wait_until

from device.system.systemd import SystemdNotifier


@contextmanager
def listening(name: str) -> Iterator[socket.socket]:
    """Listen as systemd does on a NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        listener.settimeout(0)
        yield listener


@pytest.fixture(params=["in a folder", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Return a listening socket of either kind and its NOTIFY_SOCKET."""
    name = str(tmp_path / "notify") if request.param == "in a folder" else f"@moodwire-test-{os.getpid()}"
    with listening(name) as listener:
        yield listener, name


def heard(listener: socket.socket) -> list[str]:
    """Return the messages that have come."""
    found = []
    while True:
        try:
            found.append(listener.recv(4_096).decode())
        except BlockingIOError:
            return found


def test_start_status_and_end_are_notified(manager: tuple[socket.socket, str]) -> None:
    """READY, STATUS in one line, WATCHDOG and STOPPING come as sd_notify(3) defines them."""
    listener, name = manager
    notify = SystemdNotifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1"})

    notify.ready("listening to\na microphone")
    notify.alive("3 windows")
    notify.alive()
    notify.stopping()

    assert heard(listener) == [
        "READY=1\nWATCHDOG=1\nSTATUS=listening to a microphone",
        "WATCHDOG=1\nSTATUS=3 windows",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=stopping",
    ]


@pytest.mark.parametrize("pid", [None, os.getpid()], ids=["any process", "this process"])
def test_signs_of_life_are_rarer_than_windows_and_often_enough(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch, pid: int | None
) -> None:
    """With a watchdog of 60 s and a window each second, one in fifteen is notified: well within half of the time."""
    listener, name = manager
    now_s = 0.0
    monkeypatch.setattr("device.system.systemd.time.monotonic", lambda: now_s)
    environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000"}
    notify = SystemdNotifier(environment | ({"WATCHDOG_PID": str(pid)} if pid else {}))

    notify.ready("")
    for now_s in range(1, 61):
        notify.alive(f"{now_s}")

    assert heard(listener)[1:] == [f"WATCHDOG=1\nSTATUS={second}" for second in (15, 30, 45, 60)]


def test_a_watchdog_of_another_process_is_not_hurried_for(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """WATCHDOG_PID names the watched process; another one only sends its status now and then."""
    listener, name = manager
    now_s = 0.0
    monkeypatch.setattr("device.system.systemd.time.monotonic", lambda: now_s)
    notify = SystemdNotifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid() + 1)})

    for now_s in range(30):
        notify.alive(f"{now_s}")

    assert len(heard(listener)) == 1


@pytest.mark.slow
def test_a_running_device_notifies_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is ready at once, gives a sign of life once sound flows, and says that it ends, all without a broker."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    settings = {"clips": ROOT / "samples", "loop": True, "state_dir": tmp_path / "state", "identity": DEVICE}
    told: list[str] = []

    def says(what: str) -> bool:
        told.extend(line for message in heard(listener) for line in message.splitlines())
        return what in told

    with (
        listening(str(tmp_path / "notify")) as listener,
        Room(tmp_path, "device", "run", **settings, mqtt_url=f"mqtt://127.0.0.1:{free_port()}") as device,
    ):
        wait_until(lambda: says("READY=1"), f"it is ready: {device.log}")
        told.clear()
        wait_until(lambda: says("WATCHDOG=1"), f"it gives a sign of life: {device.log}")
        assert device.stop() == 0
        assert says("STOPPING=1")


@pytest.mark.parametrize("name", ["", "vsock:2:1234", "/nowhere/notify"])
def test_without_systemd_nothing_happens(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A device that systemd did not start, or whose systemd is gone, goes on; a broken socket is logged once."""
    notify = SystemdNotifier({"NOTIFY_SOCKET": name} if name else {})

    notify.ready("")
    notify.alive("")
    notify.stopping()

    assert len(caplog.records) == (1 if name.startswith("/") else 0)
