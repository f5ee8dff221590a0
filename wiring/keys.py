"""Secrets that rooms share: made once, one file each, readable by their owner only.

The files fit `MOODWIRE_NAME_FILE` and container secrets.
"""

import contextlib
import secrets
from pathlib import Path

from common import files

NAMES = ("server-password", "viewer-token", "operator-token", "dashboard-key")
_DEVICE = "device-password-"
_HOME_ASSISTANT = "homeassistant-password"


class Keys:
    """A folder of secrets; missing ones are made, existing ones stay."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in NAMES:
            self._make(name)

    def path(self, name: str) -> Path:
        """Return the file of one of `NAMES`."""
        assert name in NAMES, name
        return self._folder / name

    def device_path(self, device: str) -> Path:
        """Return the file of a device's password at the broker."""
        return self._folder / f"{_DEVICE}{device}"

    def value(self, name: str) -> str:
        """Return one of `NAMES`."""
        return self.path(name).read_text("utf-8-sig").strip()

    def add_device(self, device: str) -> None:
        """Make a password for a device that has none."""
        self._make(self.device_path(device).name)

    def add_home_assistant(self) -> Path:
        """Make a password for Home Assistant if there is none, and return its file."""
        self._make(_HOME_ASSISTANT)
        return self._folder / _HOME_ASSISTANT

    def accounts(self, server: str, home_assistant: str) -> dict[str, str]:
        """Return user name → password for the broker: server, devices, and Home Assistant if it has one."""
        devices = {path.name.removeprefix(_DEVICE): path for path in sorted(self._folder.glob(f"{_DEVICE}*"))}
        home = self._folder / _HOME_ASSISTANT
        others = devices | ({home_assistant: home} if home.exists() else {})
        return {server: self.value("server-password")} | {
            user: path.read_text("utf-8-sig").strip() for user, path in others.items()
        }

    def _make(self, name: str) -> None:
        with contextlib.suppress(FileExistsError):
            files.create_private(self._folder / name, secrets.token_urlsafe(32) + "\n")
