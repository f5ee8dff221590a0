"""What the page costs, and how soon it shows what is stored: `python -m trials.dashboard`.

Store, REST, live events and the dashboard run as an operator runs them; the page is open in headless Chromium
(`chromium` and `chromedriver` on PATH). Measured: what a cold browser loads, and when it shows all devices; how long a
stored reading takes to the screen; processor time of the browser, and of the server with 20 open pages; clicks on 300
devices that all speak.
"""

import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import requests
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from broker.messages import Status
from broker.topics import mac_address
from server.store.redis_store import RedisStore
from trials import load
from trials.processes import free_port, running, running_store, wait_until
from trials.services import TOKEN, environment
from trials.usage import cpu_s, processor

DAY_MS = 86_400_000
FEW, MANY = 13, 300
PROBES, PAGES, CLICKS = 25, 20, 200
USAGE_S = 20.0
KEY = "key-of-the-trial"
SHOWN = "return document.querySelectorAll('a.card .name:not(:empty)').length"
Processes = Mapping[str, subprocess.Popen[bytes]]


class Fleet:
    """Devices whose readings go into the store and its live stream."""

    def __init__(self, url: str) -> None:
        self._store = RedisStore(url, 90 * DAY_MS, 730 * DAY_MS)
        self._store.prepare()
        self._live_stream = self._store.live_stream
        self._lock = threading.Lock()
        self._seq = 0
        self.ids: list[str] = []

    def grow(self, count: int) -> None:
        """Let there be so many devices, each with an hour of readings."""
        now = self._store.now()
        labels = ("ANG", "HAP", "NEU")
        for device in load.devices(count)[len(self.ids) :]:
            facts = {"state": "online", "boot": load.boot(1), "connection": 1, "name": f"Room {device[-3:]}"}
            told = Status(**facts, labels=labels, model="ang-hap-neu-1", version="0")  # type: ignore[arg-type]
            self._store.write([(device, told)])
            past = [(device, load.reading(2, seq, now - 3_600_000 + seq * 36_000)) for seq in range(100)]
            self._store.write(past)
            self.ids.append(device)

    def speak(self, *devices: str) -> None:
        """Store and publish a reading of each device as of now."""
        with self._lock:
            now = self._store.now()
            readings = [(device, load.reading(1, self._seq, now)) for device in devices]
            self._store.write(readings)
            self._live_stream.add(readings)
            self._live_stream.flush()
            self._store.heartbeat(30)
            self._seq += 1

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Let all devices speak once a second while the context lasts."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(max(0.0, 1 - time.time() % 1)):
                self.speak(*self.ids)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def main() -> None:
    """Measure and print."""
    print(f"on {processor()}", flush=True)
    with tempfile.TemporaryDirectory() as name, _services(Path(name)) as (fleet, page, processes):
        fleet.grow(FEW)
        browser = _browser(Path(name))
        try:
            _print_cold(browser, page)
            _print_delay(browser, fleet)
            with fleet.speaking():
                _print_browser_cpu(browser)
                _print_server_cpu(page, processes)
            fleet.grow(MANY)
            with fleet.speaking():
                _print_many(browser, page)
        finally:
            browser.quit()


def _print_cold(browser: webdriver.Chrome, page: str) -> None:
    """Print what an empty browser loads, and when it shows all devices."""
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.clearBrowserCache", {})
    browser.get(f"{page}/login?key={KEY}")
    wait_until(lambda: browser.execute_script(SHOWN) == FEW, "all devices are shown", 0.01)
    script = """
      const all = [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]
        .filter(entry => !entry.name.endsWith('/live'));
      return [all.length, all.reduce((sum, entry) => sum + entry.transferSize, 0),
              performance.getEntriesByName('first-contentful-paint')[0].startTime];
    """
    count, size, paint_ms = browser.execute_script(script)
    print(f"cold: {count} requests, {size / 1000:.0f} KB with headers; first paint after {paint_ms:.0f} ms", flush=True)
    times = []
    for _ in range(5):
        browser.execute_cdp_cmd("Network.clearBrowserCache", {})
        start_s = time.monotonic()
        browser.get(f"{page}/#/")
        browser.refresh()
        wait_until(lambda: browser.execute_script(SHOWN) == FEW, "all devices are shown", 0.01)
        times.append(time.monotonic() - start_s)
    print(f"cold to {FEW} devices with their strips: median {1000 * statistics.median(times):.0f} ms of 5", flush=True)


def _print_delay(browser: webdriver.Chrome, fleet: Fleet) -> None:
    """Print how long readings take from the store to the screen."""
    (device, pause) = (fleet.ids[0], random.Random(1))
    place = f'a.card[data-mac="{mac_address(device)}"] canvas'
    said = f"return document.querySelector('{place}').getAttribute('aria-label')"
    delays_s = []
    for _ in range(PROBES):
        time.sleep(pause.uniform(0.5, 2.0))
        before = browser.execute_script(said)
        start_s = time.monotonic()
        fleet.speak(device)
        wait_until(partial(_differs, browser, said, before), "the strip counts it", 0.005)
        delays_s.append(time.monotonic() - start_s)
    delays_s.sort()
    median, high = 1000 * delays_s[PROBES // 2], 1000 * delays_s[PROBES * 9 // 10]
    print(f"stored to seen: median {median:.0f} ms, p90 {high:.0f} ms ({PROBES} readings)", flush=True)


def _differs(browser: webdriver.Chrome, script: str, before: str) -> bool:
    return bool(browser.execute_script(script) != before)


def _print_browser_cpu(browser: webdriver.Chrome) -> None:
    """Print what the open page costs the browser, all its threads together."""
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    before = _task_s(browser)
    time.sleep(USAGE_S)
    share = 100 * (_task_s(browser) - before) / USAGE_S
    print(f"browser, {FEW} devices speak every second: {share:.1f} % of a core in the page's main thread", flush=True)


def _task_s(browser: webdriver.Chrome) -> float:
    found = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return next(float(metric["value"]) for metric in found if metric["name"] == "TaskDuration")


def _print_server_cpu(page: str, processes: Processes) -> None:
    """Print what open pages cost the server while all devices speak; each is a stream that reads everything."""
    stop = threading.Event()
    login = requests.get(f"{page}/login", params={"key": KEY}, allow_redirects=False, timeout=10)

    def read() -> None:
        asking = requests.get(f"{page}/live", cookies=login.cookies, stream=True, timeout=30)
        with asking as answer, suppress(requests.RequestException):
            for _ in answer.iter_content(None):
                if stop.is_set():
                    return

    threads = [threading.Thread(target=read) for _ in range(PAGES)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    before_s, start_s = {name: cpu_s(process.pid) for name, process in processes.items()}, time.monotonic()
    time.sleep(USAGE_S)
    wall_s = time.monotonic() - start_s
    shares = {name: 100 * (cpu_s(process.pid) - before_s[name]) / wall_s for name, process in processes.items()}
    stop.set()
    for thread in threads:
        thread.join()
    told = ", ".join(f"{name} {share:.1f} %" for name, share in shares.items())
    print(
        f"{PAGES + 1} open pages, {FEW} devices speak: {told}; {sum(shares.values()):.1f} % of a core in all",
        flush=True,
    )


def _print_many(browser: webdriver.Chrome, page: str) -> None:
    """Print how soon 300 devices are shown, how even the frames are, and how many clicks are lost."""
    browser.get(f"{page}/#/")
    start_s = time.monotonic()
    browser.refresh()
    count = f"return document.querySelectorAll('a.card').length === {MANY}"
    wait_until(lambda: browser.execute_script(count), f"{MANY} devices are listed", 0.01)
    listed_s = time.monotonic() - start_s
    browser.execute_script("""
      window.hits = []; window.frames = [];
      let last = performance.now();
      const frame = now => { window.frames.push(now - last); last = now; requestAnimationFrame(frame); };
      requestAnimationFrame(frame);
      addEventListener('click', event => {
        event.preventDefault(); window.hits.push(event.target.closest('a.card')?.dataset.mac ?? '');
      }, true);
    """)
    where = """
      const card = document.querySelectorAll('a.card')[arguments[0]];
      card.scrollIntoView({block: 'nearest'});
      const box = card.getBoundingClientRect();
      return [box.left + box.width / 2, box.top + box.height / 2, card.dataset.mac];
    """
    pressed = []
    for n in range(CLICKS):
        x, y, mac = browser.execute_script(where, n * 37 % MANY)
        mouse = {"x": x, "y": y, "button": "left", "clickCount": 1}
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            browser.execute_cdp_cmd("Input.dispatchMouseEvent", mouse | {"type": kind})
            time.sleep(0.01)
        pressed.append(mac)
    hits, frames = browser.execute_script("return [window.hits, window.frames]")
    lost = sum(a != b for a, b in zip(pressed, hits, strict=False)) + abs(len(pressed) - len(hits))
    frames.sort()
    print(
        f"{MANY} devices speak every second: listed after {1000 * listed_s:.0f} ms; {lost} of {CLICKS} clicks lost; "
        f"frames p50 {frames[len(frames) // 2]:.0f} ms, p99 {frames[len(frames) * 99 // 100]:.0f} ms",
        flush=True,
    )


@contextmanager
def _services(folder: Path) -> Iterator[tuple[Fleet, str, Processes]]:
    """Run everything; yield the devices, the page's address, and the processes by name."""
    api, live, page = free_port(), free_port(), free_port()
    with running_store(folder / "store") as store:
        fleet = Fleet(store.url)
        access = {"redis_url": store.url, "viewer_token": TOKEN, "operator_token": f"o{TOKEN}"}
        urls = {"api_url": f"http://127.0.0.1:{api}", "live_url": f"http://127.0.0.1:{live}"}
        dashboard = environment(**urls, api_token=TOKEN, dashboard_key=KEY, dashboard_port=page)
        with (
            running(_moodwire("server", "run"), folder / "rest.log", environment(**access, api_port=api)) as rest,
            running(_moodwire("server", "live"), folder / "live.log", environment(**access, live_port=live)) as telling,
            running(_moodwire("dashboard"), folder / "dashboard.log", dashboard) as shown,
        ):
            places = [f"http://127.0.0.1:{port}/livez" for port in (api, live, page)]
            wait_until(lambda: all(map(_answers, places)), "all serve")
            yield fleet, f"http://127.0.0.1:{page}", {"dashboard": shown, "live events": telling, "REST": rest}


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _moodwire(*words: str) -> list[str]:
    return [sys.executable, "-m", "moodwire", *words]


def _browser(folder: Path) -> webdriver.Chrome:
    options = Options()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"):
        options.add_argument(flag)
    options.add_argument("--window-size=1440,900")
    options.add_argument(f"--user-data-dir={folder / 'chromium'}")
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


if __name__ == "__main__":
    main()
