"""The clock: its two times agree, and it names the run of the machine."""

import time
from pathlib import Path

from device.system import clock


def test_the_clocks_agree() -> None:
    """A moment of the monotonic clock is told in Unix time by the present clock."""
    before = clock.now_ms()
    told = clock.unix_ms(clock.monotonic_ms() - 5_000)
    after = clock.now_ms()

    assert before - 5_002 <= told <= after - 4_998
    assert abs(clock.now_ms() - time.time() * 1000) < 1_000


def test_the_kernel_names_this_run_of_the_machine() -> None:
    """All processes of one run of the machine have the same name for it."""
    assert clock.kernel_boot() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert clock.synced() in {True, False}
