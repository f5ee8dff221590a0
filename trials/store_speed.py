"""How fast the store answers however much it holds: `python -m trials.store_speed`.

Writes one device with 1,000,000 and then 10,000,000 readings at 1 Hz, and 10,000 devices with one reading each, and
prints how long 24 hours of chart data, the summary of everything, and one page of devices take: the median, and the
fastest, which says more on a machine that does other things too.
"""

import statistics
import struct
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from server import layout, ranges, series
from server.ranges import Range
from server.redis_store import RedisStore
from trials import load
from trials.processes import Store, running_store

DAY_MS = 86_400_000
KEEP_DAYS = 200
ROUNDS = 21
TOGETHER = 1000
HEAD = 9
"""Bytes of a packed reading before its number: labels and boot."""
NUMBERS = struct.Struct(">IQQ")
"""Sequence number, generation, at."""


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, running_store(Path(folder)) as running:
        # Nothing is confirmed here, and synchronising each of 10,000 writes would only take time.
        store = RedisStore(running.url, KEEP_DAYS * DAY_MS, 730 * DAY_MS)
        store.prepare()
        running.client.config_set("appendonly", "no")
        end = store.now() // DAY_MS * DAY_MS
        written = 0
        print(f"{'':<36}{'readings':>12}{'median ms':>11}{'fastest':>9}")
        for total in (1_000_000, 10_000_000):
            start_s = time.monotonic()
            _fill(running, written, total, end)
            per_s, written = (total - written) / (time.monotonic() - start_s), total
            start = end - total * 1000
            day = Range(end - DAY_MS, end)
            step = ranges.parse_step("", day, raw_is_kept=True)
            _say("24 hours of chart data", total, partial(series.grid, store, DEVICE, day, step))
            whole = partial(series.summary, store, DEVICE, Range(start, end), raw_is_kept=True)
            _say("summary of everything", total, whole)
            print(f"  (written at {per_s:.0f} readings/s, {TOGETHER} in a call)")
            assert whole().readings == total
        ids = load.devices(10_001)[1:]
        for first in range(0, len(ids), TOGETHER):
            store.write([(device, load.reading(0, 0, end)) for device in ids[first : first + TOGETHER]])
        for limit in (100, 1000):
            _say(f"page of {limit} of 10,000 devices", limit, partial(store.devices, ids[4000], limit))


DEVICE = load.devices(1)[0]


def _fill(running: Store, first: int, last: int, end: int) -> None:
    """Write readings with the numbers from first to last, newest first, as bytes that are made quickly."""
    text, _ = layout.pack_reading(load.reading(0, 0, end))
    patterns = [layout.pack_reading(load.reading(0, seq, end))[1] for seq in range(997)]
    parts = [(pattern[:HEAD], pattern[HEAD + NUMBERS.size :]) for pattern in patterns]
    keep = (KEEP_DAYS * DAY_MS, 730 * DAY_MS)
    for start in range(first, last, TOGETHER):
        words: list[str | bytes] = []
        for seq in range(start, start + TOGETHER):
            head, tail = parts[seq % len(parts)]
            words += [text, head + NUMBERS.pack(seq, 0, end - (seq + 1) * 1000) + tail]
        call: Any = running.client.execute_command
        call("FCALL", layout.function("write"), 1, layout.base(DEVICE), *keep, TOGETHER, *words)


def _say(what: str, count: int, work: Callable[[], object]) -> None:
    """Print the median time that something takes."""
    times_ms = []
    for _ in range(ROUNDS):
        start_s = time.perf_counter()
        work()
        times_ms.append((time.perf_counter() - start_s) * 1000)
    print(f"{what:<36}{count:>12,}{statistics.median(times_ms):>11.1f}{min(times_ms):>9.1f}", flush=True)


if __name__ == "__main__":
    main()
