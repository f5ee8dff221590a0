"""`moodwire device install`: makes the device a systemd service with a user of its own."""

import subprocess
import sys
import sysconfig
from pathlib import Path
from string import Template

import typed_settings as ts

from common import files

UNIT = "moodwire-device.service"
WRAPPER = "moodwire-device"
TEMPLATE = Path(__file__).with_name(UNIT)
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
"""Folders that ProtectHome= hides from the service (systemd.exec(5))."""
_SETTINGS = """\
# Settings of `moodwire device`; docs/settings.md lists them all. A setting without a line has its default.
[device]
# name = "Kitchen"
# mqtt_url = "mqtts://moodwire.example:8883"
# mic = "usb-id:…"  # as `moodwire device mics` lists them
"""
_ENVIRONMENT = """\
MOODWIRE_CONFIG=/etc/moodwire/device.toml
MOODWIRE_STATE_DIR=/var/lib/moodwire
MOODWIRE_MQTT_PASSWORD_FILE=/etc/moodwire/mqtt-password
"""
_WRAPPER = """\
#!/bin/sh
# Runs `moodwire device …` as the service runs it: as its user, with its settings. Written by `moodwire device install`.
if [ "$$(id -u)" != 0 ]; then
    echo "moodwire-device becomes the user moodwire, which only root may: sudo moodwire-device $$*" >&2
    exit 2
fi
umask 077
set -ae
. /etc/moodwire/environment
exec runuser -u moodwire -- $command device "$$@"
"""
_USER = """\
u moodwire - "moodwire device" /var/lib/moodwire
m moodwire audio
"""
_PLACES = """\
d /var/lib/moodwire 0700 moodwire moodwire
z /etc/moodwire/device.toml 0640 root moodwire
z /etc/moodwire/mqtt-password 0640 root moodwire
"""


@ts.settings(frozen=True)
class InstallSettings:
    """Settings of `moodwire device install`."""

    root: Path = ts.option(default=Path("/"), help="write below this folder, as for an image, and run nothing")
    dry_run: bool = ts.option(default=False, help="print the systemd unit, and write nothing")


def install(settings: InstallSettings) -> int:
    """Write unit, user and example settings, and print what to do next; existing settings stay."""
    command = Path(sysconfig.get_path("scripts")) / "moodwire"
    hidden = _first_hidden(_code_folders(command))
    if hidden:
        print(
            f"{hidden} lies in a home folder, which the service cannot see; install moodwire under /opt/moodwire "
            "(docs/device.md)",
            file=sys.stderr,
        )
    if settings.dry_run:
        print(unit(command), end="")
        return 0
    if hidden:
        return 2
    is_image = settings.root != Path("/")
    try:
        _write(settings.root, command)
        if not is_image:
            _run("systemd-sysusers", "/etc/sysusers.d/moodwire.conf")
            _run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/moodwire.conf")
    except PermissionError as error:
        print(f"{error.filename} cannot be written by this user; run sudo {command} device install", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"{' '.join(error.cmd)} failed with code {error.returncode}; see its message above", file=sys.stderr)
        return 2
    print(_next_steps(is_image=is_image))
    return 0


def unit(command: Path) -> str:
    """Return the systemd unit that starts this command."""
    return Template(TEMPLATE.read_text()).substitute(command=command)


def _write(root: Path, command: Path) -> None:
    """Replace the files that are ours; write those that people fill in only if they do not exist."""
    etc = root / "etc"
    ours = {
        etc / "systemd" / "system" / UNIT: unit(command),
        etc / "sysusers.d" / "moodwire.conf": _USER,
        etc / "tmpfiles.d" / "moodwire.conf": _PLACES,
        etc / "moodwire" / "environment": _ENVIRONMENT,
        root / "usr" / "local" / "bin" / WRAPPER: Template(_WRAPPER).substitute(command=command),
    }
    theirs = {etc / "moodwire" / "device.toml": _SETTINGS, etc / "moodwire" / "mqtt-password": ""}
    for path, text in ours.items():
        files.replace(path, text.encode())
        print(f"wrote {path}")
    (root / "usr" / "local" / "bin" / WRAPPER).chmod(0o755)
    for path, text in theirs.items():
        if not path.exists():
            # It may hold a secret: only root reads it until its group is set.
            files.create_private(path, text)
            print(f"wrote {path}")


def _code_folders(command: Path) -> list[Path]:
    """Return the folders of the service's code: the environment, its Python, and an editable checkout."""
    return [command.parent, Path(sys.base_prefix), TEMPLATE.parent]


def _first_hidden(paths: list[Path]) -> Path | None:
    """Return the first of these paths that the service cannot see."""
    return next((path for path in paths for home in HOMES if path.resolve().is_relative_to(home)), None)


def _run(*argv: str) -> None:
    try:
        subprocess.run(argv, check=True)  # noqa: S603 - fixed words
    except FileNotFoundError as error:
        raise OSError(error.errno, "not found; this machine has no systemd", argv[0]) from error


def _next_steps(*, is_image: bool) -> str:
    start = f"enable moodwire-device with systemctl --root, or at the first start of the image: {UNIT}"
    steps = [
        "settings:  sudoedit /etc/moodwire/device.toml",
        "password:  sudo tee /etc/moodwire/mqtt-password (the device's, from the server)",
        f"check:     sudo {WRAPPER} doctor",
        f"start:     {start}"
        if is_image
        else f"start:     sudo systemctl daemon-reload && sudo systemctl enable --now {UNIT}",
        f"restart:   (after an update) sudo systemctl daemon-reload && sudo systemctl restart {UNIT}",
        "watch:     sudo journalctl -fu moodwire-device",
    ]
    return "\n".join(["", "Next:", *(f"  {step}" for step in steps)])
