"""The locks and the project file: what is installed where."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
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
