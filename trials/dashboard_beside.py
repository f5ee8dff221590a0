"""The page beside the old one, which was Dash and plotly: `python -m trials.dashboard_beside [--old FOLDER]`.

A store holds two devices, one with thirty days of 2.6 million readings. REST, live events and both pages run as an
operator runs them, and headless Chromium (`chromium` and `chromedriver` on PATH) opens each in turns. Printed are
medians: bytes on the wire, how long the first view takes, CPU time of the browser until then, and CPU while two
devices speak; for the new page also how soon thirty days are drawn, and a published reading is seen. The old page is a
work tree of its last commit, `git worktree add --detach FOLDER 381c6e9`, with its packages in FOLDER/.venv or beside
ours. Without it only the new page is measured.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from broker import topics
from broker.messages import Status
from server.store.redis_store import RedisStore
from trials import load
from trials.processes import free_port, running, running_store, wait_until
from trials.services import TOKEN, environment
from trials.usage import cpu_s

DAY_MS = 86_400_000
READINGS = 2_600_000
DAYS = 30
BATCH = 2_000
ROUNDS = 5
STEADY_S = 20.0
PROBES = 15
KEY = "key-of-the-trial"
LONG, OTHER = load.devices(2)
MAC = topics.mac_address(LONG)
OLD_SEEN = "return (document.querySelector('#facts')?.innerText.match(/([0-9,]+) kept in all/) || [])[1] || ''"
NEW_SEEN = "return document.querySelector('.timeline figcaption')?.innerText || ''"
BYTES = (
    "return performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
    ".reduce((sum, entry) => sum + entry.transferSize, 0)"
)


class Devices:
    """Two devices: one with a long past, both speaking when asked."""

    def __init__(self, url: str, readings: int) -> None:
        self.store = RedisStore(url, 90 * DAY_MS, 730 * DAY_MS)
        self.store.prepare()
        self.store.heartbeat(86_400)
        self._live_stream = self.store.live_stream
        self._lock = threading.Lock()
        self._seq = readings
        for device in (LONG, OTHER):
            status = Status(
                state="online",
                boot=load.boot(1),
                connection=1,
                name=f"Device {device[-1]}",
                labels=("ANG", "HAP", "NEU"),
                model="ang-hap-neu-1",
                version="0",
            )
            self.store.write([(device, status)])
        now = self.store.now()
        every_ms = DAYS * DAY_MS // readings
        waiting: Callable[[], Any] | None = None
        for first in range(0, readings, BATCH):
            seqs = range(first, min(first + BATCH, readings))
            sent = self.store.send([(LONG, load.reading(1, seq, now - (readings - seq) * every_ms)) for seq in seqs])
            if waiting:
                waiting()
            waiting = sent
        if waiting:
            waiting()

    def speak(self) -> None:
        """Store and publish a reading of each device as of now."""
        with self._lock:
            told = [(device, load.reading(1, self._seq, self.store.now())) for device in (LONG, OTHER)]
            self.store.write(told)
            self._live_stream.add(told)
            self._live_stream.flush()
            self._seq += 1


class Page:
    """One of the pages in a browser of its own, so that its CPU time is its own."""

    def __init__(self, name: str, url: str, place: str, seen: str) -> None:
        self.name = name
        self._url, self._place, self._seen = url, place, seen
        self.results: dict[str, list[float]] = {"KB": [], "first view, s": [], "CPU until then, s": []}
        self.steady = 0.0

    def open(self, browser: webdriver.Chrome, driver_pid: int) -> None:
        """Open it with an empty cache, until its first view is there."""
        browser.get(f"{self._url}/login?key={KEY}")
        browser.get("about:blank")
        browser.execute_cdp_cmd("Network.clearBrowserCache", {})
        before_s, start_s = _tree_cpu_s(driver_pid), time.monotonic()
        browser.get(f"{self._url}/{self._place}")
        wait_until(lambda: browser.execute_script(self._seen), f"{self.name} shows readings", 0.01)
        self.results["first view, s"].append(time.monotonic() - start_s)
        time.sleep(2)  # what it still does after that belongs to it
        self.results["CPU until then, s"].append(_tree_cpu_s(driver_pid) - before_s)
        self.results["KB"].append(browser.execute_script(BYTES) / 1000)

    def watch(self, devices: Devices, driver_pid: int) -> None:
        """Measure the browser's CPU while both devices speak once a second."""
        before_s, start_s = _tree_cpu_s(driver_pid), time.monotonic()
        while time.monotonic() < start_s + STEADY_S:
            devices.speak()
            time.sleep(1)
        self.steady = 100 * (_tree_cpu_s(driver_pid) - before_s) / (time.monotonic() - start_s)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the page, beside the old one if there is one.")
    parser.add_argument("--old", type=Path, help="work tree of the old page's last commit")
    parser.add_argument("--readings", type=int, default=READINGS, help="of the device with thirty days")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, _services(Path(name), asked.old, asked.readings) as (devices, urls):
        pages = [Page("new", urls["new"], f"#/device/{MAC}?range=24h", NEW_SEEN)]
        if asked.old:
            pages.append(Page("old", urls["old"], "", OLD_SEEN))
        for turn in range(ROUNDS):
            for page in pages:
                with _browser(Path(name) / f"chromium-{page.name}-{turn}") as (browser, pid):
                    devices.speak()
                    page.open(browser, pid)
                    if turn == ROUNDS - 1:
                        page.watch(devices, pid)
        for page in pages:
            facts = [f"{what} {statistics.median(found):.2f}" for what, found in page.results.items()]
            print(f"{page.name}: {', '.join(facts)}, steady {page.steady:.1f} % of a core", flush=True)
        with _browser(Path(name) / "chromium-last") as (browser, _):
            _print_long(browser, urls["new"], asked.readings)
            _print_delay(browser, urls["new"], devices)


def _print_long(browser: webdriver.Chrome, url: str, readings: int) -> None:
    """Print how soon thirty days are drawn, from the click to the canvas."""
    browser.get(f"{url}/login?key={KEY}")
    browser.get(f"{url}/#/device/{MAC}?range=1h")
    wait_until(lambda: browser.execute_script(NEW_SEEN), "the page shows readings")
    script = (
        "const [name, done] = arguments, caption = document.querySelector('.timeline figcaption');"
        "const before = caption.textContent, start = performance.now();"
        "new MutationObserver((_, observer) => { if (caption.textContent !== before && caption.textContent) {"
        "  observer.disconnect(); requestAnimationFrame(() => done(performance.now() - start)); } })"
        ".observe(caption, {childList: true, characterData: true, subtree: true});"
        "document.querySelector(`.ranges [data-range='${name}']`).click();"
    )
    found = []
    for _ in range(ROUNDS):
        found.append(float(browser.execute_async_script(script, "30d")))
        browser.execute_async_script(script, "1h")
    print(f"30 days of {readings:,} readings: median {statistics.median(found):.0f} ms, most {max(found):.0f} ms")


def _print_delay(browser: webdriver.Chrome, url: str, devices: Devices) -> None:
    """Print how long a reading takes from the store to the canvas."""
    browser.get("about:blank")
    browser.get(f"{url}/#/device/{MAC}?range=5m")
    wait_until(lambda: browser.execute_script(NEW_SEEN), "the page shows readings")
    found = []
    for _ in range(PROBES):
        time.sleep(0.9)
        before = browser.execute_script(NEW_SEEN)
        start_s = time.monotonic()
        devices.speak()
        wait_until(partial(_differs, browser, before), "the reading is drawn", 0.005)
        found.append(time.monotonic() - start_s)
    print(f"published to drawn: median {statistics.median(found):.2f} s, most {max(found):.2f} s ({PROBES} readings)")


def _differs(browser: webdriver.Chrome, before: str) -> bool:
    return bool(browser.execute_script(NEW_SEEN) != before)


@contextmanager
def _services(folder: Path, old: Path | None, readings: int) -> Iterator[tuple[Devices, dict[str, str]]]:
    """Run everything; yield the devices and the address of each page."""
    api, live = free_port(), free_port()
    ports = {"new": free_port(), "old": free_port()}
    with running_store(folder / "store") as store:
        start_s = time.monotonic()
        devices = Devices(store.url, readings)
        print(f"stored {readings:,} readings in {time.monotonic() - start_s:.0f} s", flush=True)
        access = {"redis_url": store.url, "viewer_token": TOKEN, "operator_token": f"o{TOKEN}"}
        urls = {"api_url": f"http://127.0.0.1:{api}", "live_url": f"http://127.0.0.1:{live}"}
        shown = {
            name: environment(**urls, api_token=TOKEN, dashboard_key=KEY, dashboard_port=ports[name]) for name in ports
        }
        here = [sys.executable, "-m", "moodwire"]
        with (
            running([*here, "server", "run"], folder / "rest.log", environment(**access, api_port=api)),
            running([*here, "server", "live"], folder / "live.log", environment(**access, live_port=live)),
            running([*here, "dashboard"], folder / "new.log", shown["new"]),
            _old_page(old, folder / "old.log", shown["old"]),
        ):
            for port in (api, live, ports["new"], *([ports["old"]] if old else [])):
                wait_until(partial(_answers, port), f"port {port} answers; see {folder}", 0.2)
            yield devices, {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}


@contextmanager
def _old_page(folder: Path | None, log: Path, settings: dict[str, str]) -> Iterator[None]:
    """Run the old page from its work tree, with its own Python if there is one in `.venv`."""
    if folder is None:
        yield
        return
    python = folder / ".venv" / "bin" / "python"
    started = [str(python) if python.exists() else sys.executable, str(folder / "moodwire.py"), "dashboard"]
    with running(started, log, settings | {"PYTHONPATH": str(folder)}):
        yield


def _answers(port: int) -> bool:
    asked = subprocess.run(["curl", "-sf", f"http://127.0.0.1:{port}/livez"], capture_output=True, check=False)
    return asked.returncode == 0


@contextmanager
def _browser(folder: Path) -> Iterator[tuple[webdriver.Chrome, int]]:
    """Run Chromium with an empty profile; yield it and the process id of its driver."""
    options = Options()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"):
        options.add_argument(flag)
    options.add_argument("--window-size=1366,900")
    options.add_argument(f"--user-data-dir={folder}")
    service = Service(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    try:
        yield browser, service.process.pid
    finally:
        browser.quit()


def _tree_cpu_s(pid: int) -> float:
    """Return the CPU time of a process and of all that it has started and that still run."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue  # it has ended
        children.setdefault(parent, []).append(int(status.parent.name))
    found, waiting = 0.0, [pid]
    while waiting:
        each = waiting.pop()
        try:
            found += cpu_s(each)
        except OSError:
            continue
        waiting += children.get(each, [])
    return found


if __name__ == "__main__":
    main()
