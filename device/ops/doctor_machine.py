"""The doctor's checks of what the device stands on: model, clock, disk, outbox, permissions."""

import os
import shutil
import stat
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import models.bundle
from common.report import Finding
from device.delivery import outbox_file
from device.delivery.outbox_file import OutboxError
from device.settings import DeviceSettings
from device.system import clock
from models.bundle import BundleError
from models.runtime import load_verified

OLDEST_YEAR = 2025
"""A clock that says less was never set."""
LITTLE_FREE_MB = 50
LONG_WAIT_S = 3_600.0
"""Longer than any pause between two tries of a device whose server is there."""
SOUND_NODES = Path("/dev/snd")
_MOUNTS = Path("/proc/self/mountinfo")


def model(settings: DeviceSettings) -> Finding:
    """Load the model and run its golden clip."""
    try:
        manifest = load_verified(models.bundle.find(settings.model)).bundle.manifest
    except BundleError as error:
        todo = "install moodwire again, let `model` name another bundle, or delete kept.json in the state folder"
        return Finding("model", "fail", str(error), todo)
    seen = f"{manifest.name} ({', '.join(manifest.labels)}) loads and gives the scores that training recorded"
    return Finding("model", "ok", seen)


def wall_clock(settings: DeviceSettings) -> Finding:
    """Look whether the machine knows what time it is."""
    now = datetime.now(UTC)
    seen = f"it is {now:%Y-%m-%d %H:%M:%S} UTC"
    todo = "let `timedatectl` say that NTP is active and the clock synchronised: sudo timedatectl set-ntp true"
    if now.year < OLDEST_YEAR:
        return Finding("clock", "fail", f"{seen}, so the clock was never set", todo)
    if clock.synced():
        return Finding("clock", "ok", f"{seen}, and the kernel says that the clock is synchronised")
    waits = f"records wait up to {settings.clock_wait_s:g} s for that" if settings.clock_wait_s else "it is trusted"
    return Finding("clock", "warn", f"{seen}, but the clock is not synchronised; {waits}", todo)


def disk(settings: DeviceSettings) -> Finding:
    """Look whether the state folder takes what the outbox may grow to."""
    folder = settings.state_dir
    if not folder.exists():
        seen = f"{folder} is not there yet; the device makes it at its first start"
        return Finding("disk", "warn", seen, "if the device has run before, set state_dir to the folder that it used")
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4_096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        todo = "let state_dir name a folder that this user may write, on a disk that is neither full nor read-only"
        return Finding("disk", "fail", f"{folder} cannot be written: {error.strerror}", todo)
    free_mb = shutil.disk_usage(folder).free / 1e6
    card = " on an SD card" if _is_on_sd_card(folder) else ""
    seen = f"{folder} can be written{card}, and {free_mb:,.0f} MB are free"
    if free_mb < LITTLE_FREE_MB:
        return Finding("disk", "fail", seen, f"make room: below {LITTLE_FREE_MB} MB the system itself is in danger")
    if free_mb < settings.outbox_max_mb:
        todo = f"make room, or lower outbox_max_mb: the outbox may grow to {settings.outbox_max_mb:g} MB"
        return Finding("disk", "warn", seen, todo)
    return Finding("disk", "ok", seen)


def outbox(settings: DeviceSettings) -> Finding:
    """Look into the outbox without changing anything; a running device goes on using it."""
    path = settings.state_dir / "outbox.sqlite"
    try:
        if not path.is_file():
            return Finding("outbox", "skip", f"{path} is not there: no device has run with this state_dir yet")
        facts = outbox_file.peek(path)
    except PermissionError:
        return Finding("outbox", "fail", f"{path} may not be read by this user", "run this as the device's user")
    except OutboxError as error:
        todo = "look whether the disk is full or broken; the device begins a new one if you move this one away"
        return Finding("outbox", "fail", str(error), todo)
    return _judge(facts, settings.state_dir, outbox_file.kept_aside(path))


def _judge(facts: outbox_file.Facts, folder: Path, aside: list[Path]) -> Finding:
    """Say what is in an outbox, and what beside it was set aside."""
    running = "; a running device uses it" if _is_in_use(folder) else ""
    age_s = max(0.0, time.time() - facts.oldest_at_ms / 1000) if facts.oldest_at_ms is not None else 0.0
    held = f", {facts.held} of them for the clock" if facts.held else ""
    waiting = f"{facts.rows} records wait{held}, the oldest for {_duration(age_s)}" if facts.rows else "nothing waits"
    if facts.refused:
        why = Counter(one.why for one in facts.refused)
        reasons = "; ".join(f"{reason} ({count})" for reason, count in why.most_common(3))
        seen = f"{waiting}, and the server has refused {len(facts.refused)}: {reasons}{running}"
        return Finding("outbox", "warn", seen, "these are lost; mend the reason (the clock? different versions?)")
    if aside:
        names = ", ".join(file.name for file in aside)
        todo = "the log of the device says why; delete them when you need them no more"
        return Finding("outbox", "warn", f"{waiting}{running}; set aside are {names}", todo)
    if age_s > LONG_WAIT_S:
        todo = "look at broker and server above, and whether the device runs"
        return Finding("outbox", "warn", f"{waiting}{running}", todo)
    return Finding("outbox", "ok", f"{waiting}{running}")


def _is_in_use(folder: Path) -> bool:
    """Return whether a device that runs has the folder; holds it for a moment when none has."""
    try:
        os.close(outbox_file.lock(folder))
    except OutboxError:
        return True
    return False


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7_200
        else f"{seconds / 3_600:.0f} h"
    )


def permissions(settings: DeviceSettings) -> Finding:
    """Look whether this user may listen, write, and read secrets that others may not."""
    wrong = list(_wrong_permissions(settings))
    if not wrong:
        return Finding("permissions", "ok", f"user {os.geteuid()} may use the sound devices and owns the state folder")
    return Finding("permissions", "warn", "; ".join(seen for seen, _ in wrong), "; ".join(todo for _, todo in wrong))


def _wrong_permissions(settings: DeviceSettings) -> Iterator[tuple[str, str]]:
    if os.geteuid() == 0:
        yield "this runs as root", "run it as the user that the device runs as"
    for node in sorted(SOUND_NODES.glob("pcm*c")):
        if not os.access(node, os.R_OK | os.W_OK):
            yield f"{node} is not for this user", "sudo usermod -aG audio that user, and log in again"
            break
    folder = settings.state_dir
    if folder.is_dir() and folder.stat().st_uid != os.geteuid():
        yield (
            f"{folder} belongs to user {folder.stat().st_uid}",
            f"run as that user, or sudo chown -R that user {folder}",
        )
    for path in _secret_files(settings):
        if path.is_file() and path.stat().st_mode & stat.S_IROTH:
            yield f"everybody may read the secret {path}", f"sudo chmod o-r {path}"


def _secret_files(settings: DeviceSettings) -> Iterator[Path]:
    named = os.environ.get("MOODWIRE_MQTT_PASSWORD_FILE", "")
    for name in (named, settings.mqtt_key_file):
        if name:
            yield Path(name)


def _is_on_sd_card(folder: Path) -> bool:
    """Return whether a folder's file system is on a card (mmcblk), as far as Linux tells (proc(5), mountinfo)."""
    if sys.platform != "linux":
        return False
    number = folder.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    lines = (line.split() for line in _MOUNTS.read_text().splitlines())
    return any(fields[2] == device and "/mmcblk" in " ".join(fields[6:]) for fields in lines)
