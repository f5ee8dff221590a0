"""How soon the dashboard shows what is stored, and what a viewer costs: `python -m trials.dashboard_delay`.

The store, REST, live events and the dashboard run as an operator runs them, and pages are open in headless Chromium
(`chromium` and `chromedriver` on PATH). 25 readings are stored and published one by one, as ingest does it, and each is
timed until the page counts it: first with live events, at the end without them. In between, two devices speak once a
second, and the CPU time of each process is measured with one page open and with four.
"""

import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from broker.messages import Status
from server.store.redis_store import RedisStore
from trials import load
from trials.processes import free_port, running, running_store, wait_until
from trials.services import TOKEN, environment
from trials.usage import cpu_s, resident_mb

DAY_MS = 86_400_000
DEVICES = load.devices(2)
SHOWN, OTHER = DEVICES
PROBES = 25
USAGE_S = 15.0
KEY = "key-of-the-trial"
COUNTED = "return (document.querySelector('#facts')?.innerText.match(/([0-9,]+) kept in all/) || [])[1] || ''"
Processes = Mapping[str, subprocess.Popen[bytes]]


class Devices:
    """Two devices whose readings go into the store and its live stream."""

    def __init__(self, url: str) -> None:
        self._store = RedisStore(url, 90 * DAY_MS, 730 * DAY_MS)
        self._store.prepare()
        self._live_stream = self._store.live_stream
        self._lock = threading.Lock()
        self._seq = 0
        for device in DEVICES:
            status = Status(
                state="online",
                boot=load.boot(1),
                connection=1,
                name=f"Device {device[-1]}",
                labels=("ANG", "HAP", "NEU"),
                model="ang-hap-neu-1",
                version="0",
            )
            self._store.write([(device, status)])

    def speak(self, *devices: str) -> int:
        """Store and publish a reading of each device as of now, and return how many readings each has."""
        with self._lock:
            readings = [(device, load.reading(1, self._seq, self._store.now())) for device in devices]
            self._store.write(readings)
            self._live_stream.add(readings)
            self._live_stream.flush()
            self._seq += 1
            return self._seq


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, _services(Path(name)) as (devices, page, processes):
        browser = _browser(Path(name))
        try:
            _open(browser, devices, page)
            _print_delay("with live events", browser, devices)
            _print_usage(browser, devices, page, processes)
            processes["live events"].terminate()
            processes["live events"].wait()
            _print_delay("without, asking every 2 s", browser, devices)
        finally:
            browser.quit()


def _open(browser: webdriver.Chrome, devices: Devices, page: str) -> None:
    browser.get(f"{page}/login?key={KEY}")
    devices.speak(SHOWN)
    wait_until(lambda: browser.execute_script(COUNTED) == "1", "the page shows the first reading")


def _print_delay(case: str, browser: webdriver.Chrome, devices: Devices) -> None:
    """Print how long readings take to reach the page."""
    pause = random.Random(1)
    delays_s = []
    for _ in range(PROBES):
        time.sleep(pause.uniform(0.5, 2.5))
        before = browser.execute_script(COUNTED)
        start_s = time.monotonic()
        devices.speak(SHOWN)
        wait_until(partial(_counts_other_than, browser, before), "the page counts it", 0.005)
        delays_s.append(time.monotonic() - start_s)
    delays_s.sort()
    print(
        f"stored to seen, {case}: p50 {delays_s[PROBES // 2]:.2f} s, p90 {delays_s[PROBES * 9 // 10]:.2f} s, "
        f"at most {delays_s[-1]:.2f} s ({PROBES} readings)",
        flush=True,
    )


def _counts_other_than(browser: webdriver.Chrome, before: str) -> bool:
    return bool(browser.execute_script(COUNTED) != before)


def _print_usage(browser: webdriver.Chrome, devices: Devices, page: str, processes: Processes) -> None:
    """Print the CPU share and memory of each process while two devices speak."""
    stopping = threading.Event()
    speaking = threading.Thread(target=lambda: _speak_on(devices, stopping))
    speaking.start()
    try:
        for pages in (1, 4):
            while len(browser.window_handles) < pages:
                browser.switch_to.new_window("window")
                browser.get(page)
            time.sleep(5)
            before_s, start_s = {name: cpu_s(process.pid) for name, process in processes.items()}, time.monotonic()
            time.sleep(USAGE_S)
            wall_s = time.monotonic() - start_s
            shares = [
                f"{name} {100 * (cpu_s(process.pid) - before_s[name]) / wall_s:.1f} % of a core, "
                f"{resident_mb(process.pid):.0f} MB"
                for name, process in processes.items()
            ]
            print(f"{pages} page{'s' if pages > 1 else ''} open, 2 devices speak: " + "; ".join(shares), flush=True)
    finally:
        stopping.set()
        speaking.join()
        for handle in browser.window_handles[1:]:
            browser.switch_to.window(handle)
            browser.close()
        browser.switch_to.window(browser.window_handles[0])


def _speak_on(devices: Devices, stopping: threading.Event) -> None:
    """Let both devices speak once a second until stopped."""
    while not stopping.wait(1):
        devices.speak(SHOWN, OTHER)


@contextmanager
def _services(folder: Path) -> Iterator[tuple[Devices, str, Processes]]:
    """Run everything; yield the devices, the page's address, and the processes by name."""
    api, live, page = free_port(), free_port(), free_port()
    with running_store(folder / "store") as store:
        devices = Devices(store.url)
        access = {"redis_url": store.url, "viewer_token": TOKEN, "operator_token": f"o{TOKEN}"}
        urls = {"api_url": f"http://127.0.0.1:{api}", "live_url": f"http://127.0.0.1:{live}"}
        dashboard = environment(**urls, api_token=TOKEN, dashboard_key=KEY, dashboard_port=page)
        with (
            running(_moodwire("server", "run"), folder / "rest.log", environment(**access, api_port=api)) as rest,
            running(_moodwire("server", "live"), folder / "live.log", environment(**access, live_port=live)) as telling,
            running(_moodwire("dashboard"), folder / "dashboard.log", dashboard) as shown,
        ):
            log = folder / "dashboard.log"
            wait_until(lambda: "live events come from" in log.read_text(), f"the dashboard listens; see {log}")
            yield devices, f"http://127.0.0.1:{page}", {"REST": rest, "live events": telling, "dashboard": shown}


def _moodwire(*words: str) -> list[str]:
    return [sys.executable, "-m", "moodwire", *words]


def _browser(folder: Path) -> webdriver.Chrome:
    options = Options()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"):
        options.add_argument(flag)
    # Pages in the background must poll as often as the one in front.
    options.add_argument("--disable-background-timer-throttling")
    options.add_argument("--disable-renderer-backgrounding")
    options.add_argument("--disable-backgrounding-occluded-windows")
    options.add_argument(f"--user-data-dir={folder / 'chromium'}")
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


if __name__ == "__main__":
    main()
