"""Notifications to systemd (sd_notify(3)).

The protocol is one datagram of lines, so no library is needed: `sdnotify` has had no release since 2017, and
`systemd-python` and `cysystemd` need a C compiler and libsystemd on the device.
"""

import logging
import os
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)

WITHOUT_WATCHDOG_S = 30.0
"""How often the status is sent without a watchdog."""


class SystemdNotifier:
    """Notifies the service manager that started this process; does nothing if none did. For one thread.

    Call `alive` for each window and each tick of a pause, and for nothing else: a device that hears nothing then falls
    silent here too, and systemd restarts it.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        named = environment.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the null byte of an abstract socket; other kinds, such as vsock, are ignored.
        self._address = "\0" + named[1:] if named.startswith("@") else named if named.startswith("/") else None
        # A quarter of the watchdog's time: less than half of it even if a window comes late.
        self._every_s = _watchdog_s(environment) / 4 or WITHOUT_WATCHDOG_S
        self._last_s = float("-inf")
        self._has_failed = False

    def ready(self, text: str) -> None:
        """Notify that the service has started, with a one-line status."""
        self._send(f"READY=1\nWATCHDOG=1\n{_status(text)}")

    def alive(self, text: str = "") -> None:
        """Send a sign of life with a one-line status, but only as often as systemd needs it.

        Without a text, systemd keeps showing the latest one.
        """
        if time.monotonic() - self._last_s >= self._every_s:
            self._send("\n".join(["WATCHDOG=1", *([_status(text)] if text else [])]))

    def stopping(self) -> None:
        """Notify that the service is about to end because it was asked to."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(0)  # a busy systemd must not stop the device; the next window tries again
                sender.sendto(message.encode(), self._address)
        except OSError as error:
            if not self._has_failed:
                log.warning("systemd cannot be notified (NOTIFY_SOCKET): %s", error)
                self._has_failed = True
            return
        self._last_s = time.monotonic()


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """Return after how long without a sign of life systemd restarts the service; 0 for never.

    `WATCHDOG_PID` names the process that must give it (sd_watchdog_enabled(3)).
    """
    microseconds = environment.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    return int(microseconds) / 1e6


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())}"
