"""Start-up time and memory of a device process: `python -m trials.device_footprint [runs] [clips]`.

Starts `moodwire device run` several times on a file or folder, the sample clips if none is named, and prints the
medians of three figures: when it was ready to hear the first sample, when the first reading was in the outbox, and how
much memory the process then held. The second figure includes three seconds of sound, the first window. One more run
lists what the process imports.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from trials.usage import resident_mb

ROOT = Path(__file__).parent.parent
PATIENCE_S = 60.0
READY_S = 0.5
RESIDENT_MB = 90
HEAVY = ("tensorflow", "tf_keras", "keras", "librosa", "scipy", "numba", "sklearn", "matplotlib")


class Run(NamedTuple):
    """Figures of one run."""

    ready_s: float
    """From the start of the process, that of the interpreter included."""
    first_s: float
    resident_mb: float


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    clips = Path(sys.argv[2] if len(sys.argv) > 2 else "samples").absolute()
    ready_s, first_s, held_mb = (
        statistics.median(column) for column in zip(*(_run(clips) for _ in range(runs)), strict=True)
    )
    imported = _imported(clips)
    heavy = sorted(imported & set(HEAVY))
    print(f"ready            {ready_s:.2f} s after the start of the process (target: at most {READY_S} s)")
    print(f"first reading    {first_s:.2f} s after the start of the process (3 s of them are sound)")
    print(f"resident memory  {held_mb:.0f} MB then (target: at most {RESIDENT_MB} MB)")
    print(f"heavy packages   {', '.join(heavy) or 'none'} of {', '.join(HEAVY)} among {len(imported)} imported ones")
    print(f"medians of {runs} runs on {os.uname().machine}, {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")
    if heavy:
        raise SystemExit(f"the device imports {', '.join(heavy)}; let it do without")


def _run(clips: Path) -> Run:
    """Run a device until its first reading, and return the figures."""
    start_s = time.monotonic()
    with _device(clips) as device:
        _wait_for(device, " ready ")
        ready_s = time.monotonic() - start_s
        _wait_for(device, "first reading")
        return Run(ready_s, time.monotonic() - start_s, resident_mb(device.pid))


def _imported(clips: Path) -> set[str]:
    """Return the top-level packages that a device has imported by its first reading."""
    with _device(clips, "-X", "importtime") as device:
        lines = _wait_for(device, "first reading")
    names = [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]
    return {name.partition(".")[0] for name in names}


@contextmanager
def _device(clips: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run a device on some clips, without a broker, as long as the context lasts."""
    with tempfile.TemporaryDirectory() as state:
        settings = ["--clips", str(clips), "--loop", "--state-dir", state]
        argv = [sys.executable, *options, "-m", "moodwire", "device", "run", *settings]
        with subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True) as device:
            try:
                yield device
            finally:
                device.terminate()
                device.communicate()


def _wait_for(device: subprocess.Popen[str], what: str) -> list[str]:
    """Return the lines that the device logs, up to the first one with these words."""
    assert device.stderr is not None
    start_s = time.monotonic()
    lines = []
    for line in device.stderr:
        lines.append(line)
        if what in line:
            return lines
        if time.monotonic() - start_s > PATIENCE_S:
            break
    raise SystemExit(f"the device did not log {what.strip()!r} within {PATIENCE_S:.0f} s: {''.join(lines[-3:])}")


if __name__ == "__main__":
    main()
