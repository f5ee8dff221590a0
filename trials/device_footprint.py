"""What a device process costs from outside: `python -m trials.device_footprint [runs]`.

Starts the real `moodwire device run` on the sample clips several times and prints, as medians, when the first reading
was in the outbox and how much memory the process then holds. Three seconds of the first figure are the first window of
sound itself; nothing can be said before it is heard.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
PATIENCE_S = 30.0


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    found = [_run() for _ in range(runs)]
    first_s, rss_mb = (statistics.median(column) for column in zip(*found, strict=True))
    print(f"first reading    {first_s:.2f} s after the process was started (3 s of them are sound)")
    print(f"resident memory  {rss_mb:.0f} MB then")
    print(f"medians of {runs} runs on {os.uname().machine}")


def _run() -> tuple[float, float]:
    """Return seconds to the first reading and resident megabytes of one run."""
    with tempfile.TemporaryDirectory() as state:
        command = [
            sys.executable,
            "-m",
            "moodwire",
            "device",
            "run",
            "--clips",
            "samples",
            "--loop",
            "--state-dir",
            state,
        ]
        start_s = time.monotonic()
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as device:
            assert device.stderr is not None
            for line in device.stderr:
                if "first reading" in line:
                    break
                if time.monotonic() - start_s > PATIENCE_S:
                    raise SystemExit(f"no reading within {PATIENCE_S:.0f} s; the device says: {line}")
            first_s = time.monotonic() - start_s
            rss_kb = next(
                int(line.split()[1])
                for line in Path(f"/proc/{device.pid}/status").read_text().splitlines()
                if line.startswith("VmRSS")
            )
            device.terminate()
            device.stderr.read()
    return first_s, rss_kb * 1024 / 1e6


if __name__ == "__main__":
    main()
