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

CAP_IPC_LOCK = 14
"""Number of the right to lock memory (capabilities(7)); root in a container may lack it."""


def _may_lock() -> bool:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")]
    return bool(int(line.split()[1], 16) >> CAP_IPC_LOCK & 1)


may_lock = pytest.mark.skipif(not _may_lock(), reason="this user has no right to lock memory (CAP_IPC_LOCK)")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop the right to lock memory")
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


@may_lock
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
