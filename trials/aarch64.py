"""The device on an emulated Raspberry Pi's processor: `python -m trials.aarch64 [--suite trixie|bookworm] [folder]`.

Needs Linux with apt, and qemu-aarch64-static (Debian: apt install qemu-user-static); it runs nothing as root and
installs nothing. Into the folder (a temporary one if none is named) go, for each suite of Debian, its arm64 Python with
dependencies, the aarch64 wheels of `locks/device.txt` by their hashes, and this checkout. Then it runs

- here and emulated: the golden test of the shipped bundle, and the windows of the samples through the whole pipeline,
- emulated only: `moodwire device run` on one sample, with Mosquitto, ingest, store and REST on this machine.

docs/aarch64.md says what this proves and what it does not.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from trials.processes import PASSWORD
from trials.services import ROOT, environment, serving

QEMU = "qemu-aarch64-static"
CPU = "cortex-a72"
"""The processor of a Raspberry Pi 4."""
CPUINFO = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""
"""Without it LiteRT's processor detection reads this machine's /proc/cpuinfo, and crashes."""
GLIBC_MINORS = (17, 24, 26, 27, 28, 31, 34, 35, 36)
"""Wheels built for any of these versions 2.x run on the glibc of all suites; Bookworm's is the last of them."""


class Suite(NamedTuple):
    """A release of Debian, and of the Raspberry Pi OS that is made of it."""

    name: str
    python: str
    """Version of its python3."""


SUITES = {suite.name: suite for suite in (Suite("trixie", "3.13"), Suite("bookworm", "3.11"))}
CLIPS = ROOT / "samples"
LAST_CLIP = CLIPS / "5-door.flac"
DEVICE = "020000000001"
LEVEL_TOLERANCE_DB = 0.001
"""Levels are sums of float32, whose order differs between processors."""
SCORE_TOLERANCE = 0.02
"""As `models.runtime.load_verified` allows."""
WINDOWS = """
import json, numpy, platform, sys
from pathlib import Path
import models.bundle
from device.audio.clip_player import Clips
from device.inference.pipeline import windows
from device.audio.source import Block
from models.runtime import load_verified
bundle, classifier = load_verified(models.bundle.find(models.bundle.DEFAULT))
sound = numpy.concatenate(list(Clips(Path(sys.argv[1]), None).play(loop=False)))
blocks = [Block(sound[start:start + 1600], start // 16) for start in range(0, len(sound), 1600)]
found = [(window.state, round(window.level_dbfs, 4), None if window.scores is None else window.scores.tolist())
         for window in windows(blocks, bundle.manifest, classifier.scores, -50.0)]
print(json.dumps({"machine": platform.machine(), "python": platform.python_version(), "windows": found}))
"""


def main() -> None:
    """Prepare, run and compare."""
    parser = argparse.ArgumentParser(prog="python -m trials.aarch64")
    parser.add_argument("--suite", choices=SUITES, help="release of Debian; all by default")
    parser.add_argument("folder", nargs="?", help="keeps what is fetched; a temporary folder by default")
    chosen = parser.parse_args()
    missing = [program for program in (QEMU, "apt-get", "dpkg-deb") if shutil.which(program) is None]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)} (Debian: apt install qemu-user-static)")
    with tempfile.TemporaryDirectory() as temporary:
        here = _windows([sys.executable], os.environ | {"PYTHONPATH": str(ROOT)})
        for suite in [SUITES[chosen.suite]] if chosen.suite else SUITES.values():
            folder = Path(chosen.folder or temporary).absolute() / suite.name
            _prepare(folder, suite)
            there = _windows(_emulated(folder, suite), _emulated_environment(folder, dict(os.environ)))
            print(f"{suite.name:<17} Python {there['python']}, compared with {here['python']} on {here['machine']}")
            print(f"golden test       passed on {here['machine']} and on {there['machine']}")
            _compare(here["windows"], there["windows"])
            _run_device(folder, suite, Path(temporary) / f"run-{suite.name}")


def _prepare(folder: Path, suite: Suite) -> None:
    """Fetch and unpack what the folder lacks."""
    root, site = folder / "root", folder / "site"
    if not (root / f"usr/bin/python{suite.python}").exists():
        _unpack_debian(folder, root, suite)
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc" / "cpuinfo").write_text(CPUINFO)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(site)]
    if not (site / "ai_edge_litert").exists():
        platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in GLIBC_MINORS]
        wheels = ["--only-binary=:all:", "--implementation=cp", f"--python-version={suite.python}", *platforms]
        lock = ["--require-hashes", "-r", str(ROOT / "locks" / "device.txt")]
        _run([*pip, *wheels, "--platform=manylinux2014_aarch64", *lock])
    checkout = folder / "checkout"
    shutil.rmtree(checkout, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, checkout / name)
    _run([*pip, str(checkout)])


def _unpack_debian(folder: Path, root: Path, suite: Suite) -> None:
    """Let apt choose and check the packages, in a state of its own, and unpack them."""
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    for part in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d", "etc/apt.conf.d"):
        (folder / "apt" / part).mkdir(parents=True, exist_ok=True)
    mirror = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
    (folder / "apt/etc/sources.list").write_text(f"deb [signed-by={keyring}] {mirror} {suite.name} main\n")
    (folder / "apt/status").touch()
    places = {
        "Dir::Etc": "etc",
        "Dir::Etc::SourceList": "etc/sources.list",
        "Dir::State": "state",
        "Dir::State::Status": "status",
        "Dir::Cache": "cache",
    }
    options = [f"-o{name}={folder / 'apt' / place}" for name, place in places.items()]
    options += ["-oDir::Etc::SourceParts=/dev/null", "-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64"]
    options += [f"-oAPT::Sandbox::User={'root' if os.getuid() == 0 else ''}", "-q=2"]
    _run(["apt-get", *options, "update"])
    wanted = [f"python{suite.python}", "libportaudio2"]
    _run(["apt-get", *options, "install", "--yes", "--download-only", "--no-install-recommends", *wanted])
    for package in sorted((folder / "apt/cache/archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(root)])
    if not (root / "lib").exists():  # since Trixie it is a link, in the package base-files, which nothing asks for
        (root / "lib").symlink_to("usr/lib")


def _run(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv[:4])} … failed: {done.stderr.strip()[-2000:]}")


def _emulated(folder: Path, suite: Suite) -> list[str]:
    root = folder / "root"
    return [QEMU, "-cpu", CPU, "-L", str(root), str(root / f"usr/bin/python{suite.python}")]


def _emulated_environment(folder: Path, inherited: dict[str, str]) -> dict[str, str]:
    return inherited | {"PYTHONPATH": str(folder / "site"), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHOME": "/usr"}


def _windows(python: list[str], environ: dict[str, str]) -> dict[str, Any]:
    """Return what a Python makes of the clips, after the golden test."""
    argv = [*python, "-c", WINDOWS, str(CLIPS)]
    done = subprocess.run(argv, env=environ, cwd=tempfile.gettempdir(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{python[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _compare(here: list[Any], there: list[Any]) -> None:
    """Print how far apart the two are, and end if that is too far."""
    same = all(
        ours[0] == theirs[0] and abs(ours[1] - theirs[1]) < LEVEL_TOLERANCE_DB
        for ours, theirs in zip(here, there, strict=True)
    )
    differences = [
        abs(ours - theirs)
        for (_, _, one), (_, _, other) in zip(here, there, strict=True)
        for ours, theirs in zip(one or [], other or [], strict=True)
    ]
    print(f"sample clips      {len(here)} windows; states and levels {'equal' if same else 'DIFFER'}")
    print(f"scores            {len(differences)} compared; the largest difference is {max(differences):.2g}")
    if not same or max(differences) > SCORE_TOLERANCE:
        raise SystemExit(f"the emulated device gives other results: {here} here, {there} emulated")


def _run_device(folder: Path, suite: Suite, work: Path) -> None:
    """Let an emulated device play a clip to real services."""
    with serving(work / "services", [DEVICE]) as services:
        settings = {"clips": LAST_CLIP, "identity": DEVICE, "state_dir": work / "state", "clock_wait_s": 0}
        settings |= {"mqtt_url": services.mqtt_url, "mqtt_password": PASSWORD}
        start_s = time.monotonic()
        done = subprocess.run(
            [*_emulated(folder, suite), "-m", "moodwire", "device", "run"],
            env=_emulated_environment(folder, environment(**settings)),
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        if done.returncode != 0 or "wait in the outbox" in done.stderr:
            raise SystemExit(f"the emulated device ended with {done.returncode}: {done.stderr[-3000:]}")
        records, readings, missing = services.kept(DEVICE)
        took_s = time.monotonic() - start_s
    print(
        f"device run        {records} records stored, of them {readings} readings, {missing} missing, in {took_s:.0f} s"
    )
    if missing or not readings:
        raise SystemExit(f"the emulated device's readings did not arrive: {done.stderr[-3000:]}")


if __name__ == "__main__":
    main()
