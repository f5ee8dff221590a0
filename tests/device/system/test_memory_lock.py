"""Memory is locked where that is allowed; elsewhere the log warns of swap."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rooms import ROOT

LOCK = """
import logging, sys
from pathlib import Path
from device.system import memory_lock
logging.basicConfig(format="%(message)s")
locked = memory_lock.lock_memory(Path(sys.argv[1]))
held = bytearray(5_000_000)
(line,) = [line for line in open("/proc/self/status") if line.startswith("VmLck")]
print(locked, int(line.split()[1]) * 1024 > len(held))
"""
WITHOUT_THE_RIGHT = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", "--no-new-privs"]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has, and can drop, the right to lock memory")
needs_setpriv = pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed (util-linux)")


def lock(swaps: Path, *wrapper: str) -> tuple[str, str]:
    """Return what a process prints, and says, that locks its memory."""
    ended = subprocess.run(
        [*wrapper, sys.executable, "-c", LOCK, str(swaps)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ended.stdout.strip(), ended.stderr


@pytest.fixture
def swaps(tmp_path: Path) -> Path:
    """Return the kernel's list of a machine that has swap."""
    path = tmp_path / "swaps"
    path.write_text("Filename\tType\tSize\tUsed\tPriority\n/var/swap\tfile\t102396\t0\t-2\n")
    return path


@as_root
def test_present_and_later_memory_is_locked(swaps: Path) -> None:
    """Five megabytes allocated afterwards are locked, too, and nothing is logged."""
    assert lock(swaps) == ("True True", "")


@as_root
@needs_setpriv
def test_where_locking_is_forbidden_the_log_warns_of_swap(swaps: Path, tmp_path: Path) -> None:
    """The device goes on; without swap there is nothing to warn of."""
    printed, said = lock(swaps, *WITHOUT_THE_RIGHT)
    quiet = lock(tmp_path / "none", *WITHOUT_THE_RIGHT)

    assert printed == "False False"
    assert "sound in it may be written to swap" in said
    assert quiet == ("False False", "")
