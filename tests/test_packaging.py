"""The locks and the project file: what is installed where."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
POLICIES = Path("/usr/sbin")
"""While a file policy-rc.d is there, no package's service is started by its installation."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked(name: str) -> dict[str, set[str]]:
    """Return package names with their versions (several where they differ by Python) of one lock file."""
    found: dict[str, set[str]] = {}
    for match in re.finditer(r"^([a-z0-9-]+)==(\S+)", (ROOT / "locks" / f"{name}.txt").read_text(), re.MULTILINE):
        found.setdefault(match[1], set()).add(match[2])
    return found


@pytest.mark.parametrize("lock", ["device", "demo"])
def test_a_small_lock_has_no_heavy_package(lock: str) -> None:
    """Neither a Pi nor the demo installs TensorFlow, librosa, SciPy or numba, nor what exports need."""
    heavy = {"tensorflow", "tf-keras", "keras", "librosa", "scipy", "numba", "scikit-learn"}
    assert not locked(lock).keys() & heavy
    assert not locked(lock).keys() & {"onnx", "onnxruntime", "openvino", "tf2onnx", "tflite-micro", "emx-onnx-cgen"}


@pytest.mark.parametrize("lock", ["device", "demo", "export"])
def test_small_locks_are_subsets_of_the_large_one(lock: str) -> None:
    """Everyone runs the versions that the tests ran."""
    everything = locked("dev")

    for package, versions in locked(lock).items():
        assert versions <= everything[package], package


@pytest.mark.parametrize("extra", ["device", "demo", "export", "dev"])
def test_every_direct_dependency_is_locked(extra: str) -> None:
    """What the project file asks for is in the lock of that extra."""
    wanted = {
        re.split(r"[\[><=]", line)[0] for line in PROJECT["optional-dependencies"][extra] + PROJECT["dependencies"]
    }

    missing = {name.lower().replace("_", "-") for name in wanted} - locked(extra).keys() - {"moodwire"}

    assert missing == set()


@pytest.mark.parametrize("lock", ["device", "demo", "export", "dev"])
def test_every_locked_package_has_hashes_and_no_address(lock: str) -> None:
    """Installation checks what it gets, from wherever the user's pip gets it."""
    text = (ROOT / "locks" / f"{lock}.txt").read_text()

    for block in re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]
    assert "://" not in text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
def test_an_apt_that_fails_ends_no_test_run_and_leaves_no_policy(tmp_path: Path) -> None:
    """Each package that cannot be had is named, and services of other packages start again afterwards."""
    before = sorted(POLICIES.glob("policy-rc.d*"))
    for name, does in {"apt-get": "exit 100", "id": "echo 0", "ldconfig": "exit 0"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    for name in ("sh", "grep", "find", "rm", "chmod"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))

    ended = subprocess.run(
        ["/bin/sh", ROOT / "tests" / "system-packages.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert "apt-get cannot install chromium; the tests skip what needs it" in ended.stdout
    assert sorted(POLICIES.glob("policy-rc.d*")) == before
