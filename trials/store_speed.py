"""How fast the store answers however much it holds: `python -m trials.store_speed`, some ten minutes.

Writes a device with 1,000,000 readings at 1 Hz, one with 10,000,000, and 10,000 with one reading each. Prints how long
24 hours of chart data, the summary of everything, and one page of devices take: the median, and the fastest, which says
more on a busy machine. The two devices take turns. It measures in this process, then over REST, with one client that
keeps its connection and accepts no compression, and with the plots of 24 hours. Finally it prints the memory of
`moodwire server run` while it answers thousands of requests of all kinds.
"""

import http.client
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from server.query import series, time_range
from server.query.summary import summarize
from server.query.time_range import Range
from server.store import codec, keys
from server.store.redis_store import RedisStore
from trials import load
from trials.processes import Store, free_port, running, running_store, wait_until
from trials.services import TOKEN, environment
from trials.usage import resident_mb

DAY_MS = 86_400_000
KEEP_DAYS = 200
ROUNDS = 21
TOGETHER = 1000
HEAD = 9
"""Bytes of a packed reading before its number: labels and boot."""
NUMBERS = struct.Struct(">IQQ")
"""Sequence number, generation, at."""
DEVICES = dict(zip(load.devices(2), (1_000_000, 10_000_000), strict=True))
"""How many readings each has."""
REQUESTS = 20_000
DRAW_EVERY = 50
"""One request of so many is for a plot."""
PLOTS = [f"{plot}.{form}" for plot in ("timeline", "histogram", "mean") for form in ("png", "svg")]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, running_store(Path(folder)) as running:
        # Nothing is confirmed here, and synchronising each of 10,000 writes would only take time.
        store = RedisStore(running.url, KEEP_DAYS * DAY_MS, 730 * DAY_MS)
        store.prepare()
        running.client.config_set("appendonly", "no")
        end = store.now() // DAY_MS * DAY_MS
        for device, total in DEVICES.items():
            start_s = time.monotonic()
            _fill(running, device, total, end)
            per_s = total / (time.monotonic() - start_s)
            print(f"{total:,} readings are written, {TOGETHER} in a call, {per_s:,.0f}/s", flush=True)
        ids = load.devices(10_002)[2:]
        for first in range(0, len(ids), TOGETHER):
            store.write([(device, load.reading(0, 0, end)) for device in ids[first : first + TOGETHER]])
        day = Range(end - DAY_MS, end)
        whole = {device: Range(end - total * 1000, end) for device, total in DEVICES.items()}
        step = time_range.parse_step("", day, raw_is_kept=True)
        print(f"{'':<32}{'readings':>12}{'median ms':>11}{'fastest':>9}{'first':>8}{'kB':>6}")
        _say("24 hours of chart data", {d: partial(series.grid, store, d, day, step) for d in DEVICES})
        sums = {d: partial(summarize, store, d, whole[d], raw_is_kept=True) for d in DEVICES}
        _say("summary of everything", sums)
        assert [work().readings for work in sums.values()] == [*DEVICES.values()]
        for limit in (100, 1000):
            _say(f"{limit} of 10,000 devices", {"": partial(store.devices, ids[4000], limit)})
        with _serving(running, Path(folder)) as rest:
            _say("REST: 24 hours of chart data", {d: partial(rest.get, f"/devices/{d}?{_query(day)}") for d in DEVICES})
            sums_of = {d: partial(rest.get, f"/devices/{d}/summary?{_query(whole[d])}") for d in DEVICES}
            _say("REST: summary of everything", sums_of)
            for limit in (100, 1000):
                path = f"/devices?page_size={limit}&page_token={ids[4000]}"
                _say(f"REST: {limit} of 10,000 devices", {"": partial(rest.get, path)})
            for plot in PLOTS:
                draw = {d: partial(rest.get, f"/devices/{d}/plots/{plot}?{_query(day)}") for d in DEVICES}
                _say(f"REST: {plot} of 24 hours", draw)
            rest.report_memory(day)


class _Rest:
    """`moodwire server run`, and one client of it."""

    def __init__(self, port: int, pid: int) -> None:
        self._client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._pid = pid

    def is_ready(self) -> bool:
        """Return whether it takes connections."""
        try:
            self._client.request("GET", "/livez")
            return self._client.getresponse().read() is not None
        except OSError:
            self._client.close()
            return False

    def get(self, path: str) -> int:
        """Return the length of an answer."""
        self._client.request("GET", f"/api/v1{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        answer = self._client.getresponse()
        length = len(answer.read())
        assert answer.status == http.HTTPStatus.OK, path
        return length

    def report_memory(self, day: Range) -> None:
        """Print the memory of the server while it answers requests of all kinds, for ranges of all lengths."""
        device, sizes, start_s = f"/devices/{next(iter(DEVICES))}", [resident_mb(self._pid)], time.monotonic()
        for number in range(REQUESTS):
            asked = _query(Range(day.end - (1 + number % 1440) * 60_000, day.end))
            series = (f"{device}?{asked}", f"{device}/summary?{asked}", f"{device}/events", "/devices?page_size=20")
            drawn = number % DRAW_EVERY == 0
            plot = PLOTS[number // DRAW_EVERY % len(PLOTS)]
            self.get(f"{device}/plots/{plot}?{asked}" if drawn else series[number % len(series)])
            if (number + 1) % (REQUESTS // 10) == 0:
                sizes.append(resident_mb(self._pid))
        per_s = REQUESTS / (time.monotonic() - start_s)
        print(
            f"resident memory of `moodwire server run` before and after each {REQUESTS // 10:,} requests, one of "
            f"{DRAW_EVERY} for a plot, {per_s:.0f}/s: " + ", ".join(f"{size:.0f}" for size in sizes) + " MB"
        )


def _query(asked: Range) -> str:
    return f"start={asked.start / 1000}&end={asked.end / 1000}"


@contextmanager
def _serving(store: Store, folder: Path) -> Iterator[_Rest]:
    """Run REST over the store."""
    port = free_port()
    settings = environment(
        redis_url=store.url, viewer_token=TOKEN, api_port=port, requests_per_minute=0, retention_days=KEEP_DAYS
    )
    with running([sys.executable, "-m", "moodwire", "server", "run"], folder / "rest.log", settings) as process:
        rest = _Rest(port, process.pid)
        wait_until(rest.is_ready, "REST answers")
        yield rest


def _fill(running: Store, device: str, total: int, end: int) -> None:
    """Write readings, newest first, as bytes that are made quickly."""
    text, _ = codec.pack_reading(load.reading(0, 0, end))
    patterns = [codec.pack_reading(load.reading(0, seq, end))[1] for seq in range(997)]
    parts = [(pattern[:HEAD], pattern[HEAD + NUMBERS.size :]) for pattern in patterns]
    keep = (KEEP_DAYS * DAY_MS, 730 * DAY_MS)
    for start in range(0, total, TOGETHER):
        words: list[str | bytes] = []
        for seq in range(start, start + TOGETHER):
            head, tail = parts[seq % len(parts)]
            words += [text, head + NUMBERS.pack(seq, 0, end - (seq + 1) * 1000) + tail]
        call: Any = running.client.execute_command
        call("FCALL", keys.function("write"), 1, keys.base(device), *keep, TOGETHER, *words)


def _say(what: str, works: Mapping[str, Callable[[], object]]) -> None:
    """Print what something takes for each of some devices, asked in turns; work may return the length of an answer."""
    times_ms: dict[str, list[float]] = {device: [] for device in works}
    lengths = {}
    for _ in range(ROUNDS + 1):
        for device, work in works.items():
            start_s = time.perf_counter()
            lengths[device] = work()
            times_ms[device].append((time.perf_counter() - start_s) * 1000)
    for device, (first, *others) in times_ms.items():
        kept = f"{DEVICES[device]:,}" if device else ""
        length = lengths[device]
        size = f"{length / 1000:>6.0f}" if isinstance(length, int) else ""
        print(
            f"{what:<30}{kept:>12}{statistics.median(others):>11.1f}{min(others):>9.1f}{first:>8.1f}{size}", flush=True
        )
    if len(works) > 1:
        ratio = statistics.median(many / one for one, many in zip(*times_ms.values(), strict=True))
        print(f"{'':<32}{'ratio':>12}{ratio:>11.2f}", flush=True)


if __name__ == "__main__":
    main()
