"""The doctor's checks of the machine: identity, model, clock, disk, outbox, permissions."""

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
from broker.topics import mac_address
from common.report import Finding
from device.delivery import outbox_file
from device.delivery.outbox_file import OutboxError
from device.inference import baseline as kept_baseline
from device.settings import DeviceSettings
from device.system import clock, network_adapters
from device.system.identity import EARLIER, RANDOM, SETTING, find
from models.baseline import Heard
from models.bundle import BundleError
from models.runtime import load_verified

OLDEST_YEAR = 2025
"""A clock that shows an earlier year was never set."""
LITTLE_FREE_MB = 50
LONG_WAIT_S = 3_600.0
"""Longer than any pause between two tries while the server is online."""
SOUND_NODES = Path("/dev/snd")
_MOUNTS = Path("/proc/self/mountinfo")


def identity(settings: DeviceSettings) -> tuple[str | None, Finding]:
    """Return the device's id, and report where it is from; None if it has none before its first start.

    Raises:
        ValueError: `identity` is not usable.
    """
    folder = settings.state_dir
    try:
        found = find(settings.identity, folder, outbox=outbox_file.owner_of(folder))
    except OSError as error:
        seen = f"the id kept in {folder} cannot be read: {error.strerror}"
        return None, Finding("identity", "fail", seen, "run this as the device's user")
    if found is None:
        return None, Finding("identity", "skip", "the device makes a random id at its first start")
    device, origin = found
    if origin == SETTING:
        source = "as `identity` sets it"
    elif origin == RANDOM:
        source = "made at random, and kept"
    elif origin == EARLIER:
        source = "chosen by an earlier version, and kept"
    elif origin in network_adapters.addresses().values():
        source = f"the address of {origin}"
    else:
        source = f"the address of {origin}, which is not here now; the id is kept"
    return device, Finding("identity", "ok", f"this is device {mac_address(device)}: {source}")


def model(settings: DeviceSettings) -> Finding:
    """Check that the model loads and passes its golden test."""
    try:
        manifest = load_verified(models.bundle.find(settings.model), settings.runtime).bundle.manifest
    except BundleError as error:
        todo = "install moodwire again, set model to another bundle, or delete kept.json in the state folder"
        return Finding("model", "fail", str(error), todo)
    seen = f"{manifest.name} ({', '.join(manifest.labels)}) loads and gives the scores that training recorded"
    return Finding("model", "ok", seen)


def baseline(settings: DeviceSettings) -> Finding:
    """Report how far the device has learned what is usual where it stands."""
    if not settings.baseline:
        return Finding("baseline", "skip", "switched off by baseline = false: scores are as the model gives them")
    kept = kept_baseline.load(settings.state_dir / kept_baseline.FILE)
    health = kept_baseline.health_of(kept.heard if kept else Heard())
    progress = f"{health.heard} of {health.wanted} windows of speech"
    if health.heard < health.wanted:
        return Finding("baseline", "ok", f"learning: {progress}; {health.strength:.0%} in force")
    return Finding("baseline", "ok", f"learned from {progress} or more; {health.strength:.0%} in force")


def wall_clock(settings: DeviceSettings) -> Finding:
    """Check that the clock is set and synchronised."""
    now = datetime.now(UTC)
    seen = f"it is {now:%Y-%m-%d %H:%M:%S} UTC"
    todo = "run sudo timedatectl set-ntp true, and wait until timedatectl says that the clock is synchronised"
    if now.year < OLDEST_YEAR:
        return Finding("clock", "fail", f"{seen}, so the clock was never set", todo)
    if clock.synced():
        return Finding("clock", "ok", f"{seen}, and the kernel says that the clock is synchronised")
    waits = (
        f"records wait up to {settings.clock_wait_s:g} s for it"
        if settings.clock_wait_s
        else "clock_wait_s = 0 trusts it all the same"
    )
    return Finding("clock", "warn", f"{seen}, but the clock is not synchronised; {waits}", todo)


def disk(settings: DeviceSettings) -> Finding:
    """Check that the state folder can be written and has room for the outbox."""
    folder = settings.state_dir
    if not folder.exists():
        seen = f"{folder} does not exist; the device makes it at its first start"
        return Finding("disk", "warn", seen, "if the device has run before, set state_dir to the folder that it used")
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4_096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        todo = "set state_dir to a folder that this user may write, on a disk that is neither full nor read-only"
        return Finding("disk", "fail", f"{folder} cannot be written: {error.strerror}", todo)
    free_mb = shutil.disk_usage(folder).free / 1e6
    card = " on an SD card" if _is_on_sd_card(folder) else ""
    seen = f"{folder} can be written{card}, and {free_mb:,.0f} MB are free"
    if free_mb < LITTLE_FREE_MB:
        return Finding("disk", "fail", seen, f"free some space: below {LITTLE_FREE_MB} MB the system itself may fail")
    if free_mb < settings.outbox_max_mb:
        todo = f"free some space, or lower outbox_max_mb: the outbox may grow to {settings.outbox_max_mb:g} MB"
        return Finding("disk", "warn", seen, todo)
    return Finding("disk", "ok", seen)


def outbox(settings: DeviceSettings) -> Finding:
    """Report what waits in the outbox, without changing it or disturbing a device that uses it."""
    path = settings.state_dir / outbox_file.OUTBOX
    try:
        if not path.is_file():
            return Finding("outbox", "skip", f"{path} does not exist: no device has run with this state_dir yet")
        facts = outbox_file.peek(path)
    except PermissionError:
        return Finding("outbox", "fail", f"{path} may not be read by this user", "run this as the device's user")
    except OutboxError as error:
        todo = "check the disk; if you move this file away, the device starts a new one"
        return Finding("outbox", "fail", str(error), todo)
    return _report_outbox(facts, settings.state_dir, outbox_file.kept_aside(path))


def _report_outbox(facts: outbox_file.Facts, folder: Path, aside: list[Path]) -> Finding:
    """Report what is in an outbox, and which files were set aside."""
    running = "; a running device uses it" if _is_in_use(folder) else ""
    age_s = max(0.0, time.time() - facts.oldest_at_ms / 1000) if facts.oldest_at_ms is not None else 0.0
    held = f", {facts.held} of them for the clock" if facts.held else ""
    waiting = f"{facts.rows} records wait{held}, the oldest for {_duration(age_s)}" if facts.rows else "nothing waits"
    if facts.refused:
        why = Counter(one.why for one in facts.refused)
        reasons = "; ".join(f"{reason} ({count})" for reason, count in why.most_common(3))
        seen = f"{waiting}, and the server has refused {len(facts.refused)}: {reasons}{running}"
        return Finding("outbox", "warn", seen, "these are lost; correct the clock, or install the same version")
    if aside:
        names = ", ".join(file.name for file in aside)
        todo = "read in the device's log why, and delete them when you no longer need them"
        return Finding("outbox", "warn", f"{waiting}{running}; set aside are {names}", todo)
    if age_s > LONG_WAIT_S:
        todo = "see broker and server above, and check that the device runs"
        return Finding("outbox", "warn", f"{waiting}{running}", todo)
    return Finding("outbox", "ok", f"{waiting}{running}")


def is_running(settings: DeviceSettings) -> bool:
    """Return whether a device runs with these settings, as far as this user may see it."""
    try:
        return (settings.state_dir / outbox_file.OUTBOX).is_file() and _is_in_use(settings.state_dir)
    except OSError:
        return False


def _is_in_use(folder: Path) -> bool:
    """Return whether a running device uses the folder; takes its lock for a moment if none does."""
    try:
        os.close(outbox_file.lock(folder))
    except OutboxError:
        return True
    return False


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h"


def permissions(settings: DeviceSettings) -> Finding:
    """Check that this user may listen and write, and that no other user may read secrets."""
    faults = list(_wrong_permissions(settings))
    if not faults:
        return Finding("permissions", "ok", f"user {os.geteuid()} may use the sound devices and owns the state folder")
    return Finding("permissions", "warn", "; ".join(seen for seen, _ in faults), "; ".join(todo for _, todo in faults))


def _wrong_permissions(settings: DeviceSettings) -> Iterator[tuple[str, str]]:
    """Yield what is wrong and what to do about it."""
    if os.geteuid() == 0:
        yield "this runs as root", "run it as the device's user"
    for node in sorted(SOUND_NODES.glob("pcm*c")):
        if not os.access(node, os.R_OK | os.W_OK):
            yield f"this user may not use {node}", "run sudo usermod -aG audio with this user, and log in again"
            break
    folder = settings.state_dir
    if folder.is_dir() and folder.stat().st_uid != os.geteuid():
        yield (
            f"{folder} belongs to user {folder.stat().st_uid}",
            f"run this as that user, or give {folder} to this user with sudo chown -R",
        )
    for path in _secret_files(settings):
        if path.is_file() and path.stat().st_mode & stat.S_IROTH:
            yield f"everybody may read the secret {path}", f"run sudo chmod o-r {path}"


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
