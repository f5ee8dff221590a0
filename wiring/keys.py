"""Secrets that rooms share: made once, one file each, readable by their owner only.

The files fit `MOODWIRE_NAME_FILE` and container secrets.
"""

import contextlib
import secrets
from pathlib import Path

from broker import embedded
from common import files

NAMES = ("server-password", "alerts-password", "ingest-share", "viewer-token", "operator-token", "dashboard-key")
_DEVICE = "device-password-"
_ENDING = "-password"
"""Ends the file of every other account of the broker."""


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

    def server_path(self, number: int) -> Path:
        """Return the file of the password of the first, second … ingest."""
        return self._folder / f"{embedded.server_account(number)}{_ENDING}"

    def add_servers(self, count: int) -> None:
        """Make a password for each of so many ingests that has none."""
        for number in range(1, count + 1):
            self._make(self.server_path(number).name)

    def add_home_assistant(self) -> Path:
        """Make a password for Home Assistant if there is none, and return its file."""
        path = self._folder / f"{embedded.HOME_ASSISTANT_ACCOUNT}{_ENDING}"
        self._make(path.name)
        return path

    def accounts(self) -> dict[str, str]:
        """Return user name → password for the broker: ingests, alerts, devices, and Home Assistant if it has one."""
        others = {path.name.removesuffix(_ENDING): path for path in sorted(self._folder.glob(f"*{_ENDING}"))}
        devices = {path.name.removeprefix(_DEVICE): path for path in sorted(self._folder.glob(f"{_DEVICE}*"))}
        return {user: path.read_text("utf-8-sig").strip() for user, path in (others | devices).items()}

    def _make(self, name: str) -> None:
        with contextlib.suppress(FileExistsError):
            files.create_private(self._folder / name, secrets.token_urlsafe(32) + "\n")
