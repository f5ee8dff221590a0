"""What the process uses of its machine."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from device.system import resources

ROOT = Path(__file__).parents[3]


def test_percentiles_are_those_of_the_latest_durations() -> None:
    """Before the first there is 0; the oldest are forgotten."""
    timings = resources.Timings()
    assert timings.percentile_ms(95) == 0

    for duration_ms in [1_000.0] * 10 + [1.0, 2.0, 3.0] * (resources.KEPT_TIMINGS // 3):
        timings.add(duration_ms)

    assert timings.percentile_ms(50) == 2
    assert timings.percentile_ms(100) == 3


def test_the_share_of_a_core_is_counted_since_the_last_call() -> None:
    """A busy process uses most of a core, one that sleeps nearly nothing."""
    meter = resources.CpuMeter()
    until_s = time.process_time() + 0.2
    while time.process_time() < until_s:
        pass
    busy = meter.ratio()
    time.sleep(0.2)

    assert meter.ratio() < busy / 2
    assert busy > 0


def test_memory_and_age_are_those_of_this_process() -> None:
    """They grow with what the process holds, and with time."""
    # In a process of its own: one that has run many tests holds free memory, which it takes first.
    program = (
        "from device.system import resources\n"
        "before = resources.rss_bytes(), resources.process_age_s()\n"
        "held = b'x' * 50_000_000\n"
        "print(*before, resources.rss_bytes(), resources.process_age_s())"
    )
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    before_bytes, before_s, after_bytes, after_s = map(float, told.split())

    assert after_bytes - before_bytes > 25_000_000
    assert 0 < before_s <= after_s


def test_the_free_space_of_a_folder_that_is_missing_is_unknown(tmp_path: Path) -> None:
    """The device makes its folder at the first start only."""
    assert resources.disk_free_bytes(tmp_path / "missing") is None
    assert (resources.disk_free_bytes(tmp_path) or 0) > 0


@pytest.mark.parametrize(("content", "degrees"), [("48312\n", 48.312), ("", None), (None, None)])
def test_a_machine_without_a_thermometer_has_no_temperature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, degrees: float | None
) -> None:
    """The kernel reports thousandths of a degree, or nothing."""
    path = tmp_path / "temp"
    if content is not None:
        path.write_text(content)
    monkeypatch.setattr(resources, "_THERMAL", path)

    assert resources.temperature_c() == degrees
