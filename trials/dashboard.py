"""What the page costs, and how soon it shows what is stored, beside the page before it: `python -m trials.dashboard`.

Store, REST, live events and the dashboard run as an operator runs them; the page is open in headless Chromium. The old
page, which was Dash and plotly, is a work tree of its last commit, `git worktree add --detach FOLDER 381c6e9`, given as
`--old FOLDER`, with its packages in FOLDER/.venv or beside ours. The pages are opened in turns, each time by a browser
of its own with an empty cache. A page that says only one word is opened as well: what it costs, any page costs.

A first view is there when readings are drawn as a chart, on both pages by the same rule; when the first number stands
in words is printed too. Processor time is that of all processes of the browser until two seconds after the first view.
"""

import argparse
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import requests

from broker.topics import mac_address
from trials import load
from trials.browser import Browser, running_browser
from trials.dashboard_fleet import DAYS, KEY, Fleet, Processes, services
from trials.processes import wait_until
from trials.usage import cpu_s, processor

READINGS = 2_600_000
FEW, MANY = 13, 300
ROUNDS, PROBES, PAGES, CLICKS = 5, 25, 20, 200
USAGE_S = 20.0
MAC = mac_address(load.devices(1)[0])
CAPTION = "return document.querySelector('.timeline figcaption')?.innerText || ''"
OLD_WORDS = "return /[0-9]+ kept in all/.test(document.querySelector('#facts')?.innerText)"
OLD_CHART = "return document.querySelectorAll('.js-plotly-plot .scatterlayer .point').length"
WORDS = "return document.querySelector('.device-head .line')?.innerText || ''"
CARDS = f"return document.querySelectorAll('a.card .strip[aria-label]').length === {FEW}"


class Page:
    """One of the pages, and what opening it has cost each time."""

    def __init__(self, name: str, url: str, place: str, words: str, chart: str) -> None:
        self.name = name
        self._url, self._place, self._words, self._chart = url, place, words, chart
        self.results: list[tuple[float, ...]] = []
        self.steady = 0.0

    def open(self, browser: Browser) -> None:
        """Open it with an empty cache, until its first view is there."""
        if self._url:
            browser.get(f"{self._url}/login?key={KEY}")
        browser.forget()
        before_s, start_s = browser.cpu_s(), time.monotonic()
        browser.get(f"{self._url}{self._place}")
        browser.wait(self._words, f"{self.name} has words")
        words_s = time.monotonic() - start_s
        browser.wait(self._chart, f"{self.name} has a chart")
        chart_s = time.monotonic() - start_s
        time.sleep(2)  # what it still does after that belongs to it
        used_s = browser.cpu_s() - before_s
        self.results.append((*browser.on_the_wire(), words_s, chart_s, used_s))

    def print(self) -> None:
        """Print medians."""
        count, size, words_s, chart_s, used_s = (statistics.median(each) for each in zip(*self.results, strict=True))
        print(
            f"{self.name}: {size:.0f} KB in {count:.0f} requests, first words {words_s:.2f} s, "
            f"first view {chart_s:.2f} s, processor time {used_s:.2f} s, "
            f"while {FEW} devices speak every second {self.steady:.1f} % of a core",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the page, beside the old one if there is one.")
    parser.add_argument("--old", type=Path, help="work tree of the old page's last commit")
    parser.add_argument("--readings", type=int, default=READINGS, help="of the device with thirty days")
    asked = parser.parse_args()
    print(f"on {processor()}", flush=True)
    with tempfile.TemporaryDirectory() as name, services(Path(name), asked.old) as (fleet, urls, processes):
        start_s = time.monotonic()
        fleet.fill(asked.readings)
        print(f"stored {asked.readings:,} readings in {time.monotonic() - start_s:.0f} s", flush=True)
        fleet.grow(FEW)
        _print_cold(fleet, urls, Path(name))
        with running_browser(Path(name) / "chromium") as browser:
            browser.get(f"{urls['new']}/login?key={KEY}")
            _print_long(browser, urls["new"], asked.readings)
            _print_delay(browser, urls["new"], fleet)
            with fleet.speaking():
                _print_server_cpu(urls["new"], processes)
            fleet.grow(MANY)
            with fleet.speaking():
                _print_many(browser, urls["new"])


def _print_cold(fleet: Fleet, urls: dict[str, str], folder: Path) -> None:
    """Print what opening each page costs, in turns, and what it costs while it is open."""
    new, nothing = urls["new"], "return true"
    pages = [
        Page("one word", "", "data:text/html,word", nothing, nothing),
        Page("overview", new, "/#/", CARDS, CARDS),
        Page("a device's day", new, f"/#/device/{MAC}?range=24h", WORDS, CAPTION),
    ]
    if "old" in urls:
        pages.append(Page("the page before", urls["old"], "/", OLD_WORDS, OLD_CHART))
    for turn in range(ROUNDS):
        for page in random.Random(turn).sample(pages, len(pages)):
            with running_browser(folder / f"chromium-{page.name}-{turn}") as browser:
                fleet.speak(*fleet.ids)
                page.open(browser)
                if turn == ROUNDS - 1:
                    with fleet.speaking():
                        page.steady = browser.share(USAGE_S)
    for page in pages:
        page.print()


def _print_long(browser: Browser, page: str, readings: int) -> None:
    """Print how soon thirty days are drawn, from the click to the canvas."""
    browser.get(f"{page}/#/device/{MAC}?range=1h")
    browser.wait(CAPTION, "the page shows readings")
    script = """
      const [name, done] = arguments, caption = document.querySelector('.timeline figcaption');
      const before = caption.textContent, start = performance.now();
      new MutationObserver((_, observer) => {
        if (caption.textContent === before || !caption.textContent) return;
        observer.disconnect();
        requestAnimationFrame(() => done(performance.now() - start));
      }).observe(caption, {childList: true, characterData: true, subtree: true});
      document.querySelector(`.ranges [data-range='${name}']`).click();
    """
    found = []
    for _ in range(ROUNDS):
        found.append(float(browser.chrome.execute_async_script(script, f"{DAYS}d")))
        browser.chrome.execute_async_script(script, "1h")
    print(
        f"{DAYS} days of {readings:,} readings, click to chart: median {statistics.median(found):.0f} ms, "
        f"most {max(found):.0f} ms of {ROUNDS}",
        flush=True,
    )


def _print_delay(browser: Browser, page: str, fleet: Fleet) -> None:
    """Print how long readings take from the store to the screen, on the overview and on a device's page."""
    label = f"return document.querySelector('a.card[data-mac=\"{MAC}\"] canvas')?.getAttribute('aria-label') || ''"
    for name, place, said in (("overview", "#/", label), ("a device", f"#/device/{MAC}?range=5m", CAPTION)):
        browser.get(f"{page}/{place}")
        browser.wait(said, f"the page shows {name}")
        delays_s = []
        pause = random.Random(1)
        for _ in range(PROBES):
            time.sleep(pause.uniform(0.5, 2.0))
            before, start_s = browser.ask(said), time.monotonic()
            fleet.speak(fleet.ids[0])
            _wait_for_another(browser, said, before)
            delays_s.append(time.monotonic() - start_s)
        print(f"stored to seen, {name}: {_spread(delays_s)}", flush=True)


def _wait_for_another(browser: Browser, script: str, before: str) -> None:
    wait_until(lambda: browser.ask(script) != before, "the reading is drawn", 0.005)


def _spread(found_s: Sequence[float]) -> str:
    ranked = sorted(1000 * each for each in found_s)
    return f"median {statistics.median(ranked):.0f} ms, p90 {ranked[len(ranked) * 9 // 10]:.0f} ms of {len(ranked)}"


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


def _print_many(browser: Browser, page: str) -> None:
    """Print how soon 300 devices are shown, how even the frames are, and how many clicks are lost."""
    browser.get(f"{page}/#/")
    start_s = time.monotonic()
    browser.chrome.refresh()
    browser.wait(f"return document.querySelectorAll('a.card').length === {MANY}", f"{MANY} devices are listed")
    listed_s = time.monotonic() - start_s
    browser.ask("""
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
        x, y, mac = browser.ask(where, n * 37 % MANY)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            browser.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
            time.sleep(0.01)
        pressed.append(mac)
    hits, frames = browser.ask("return [window.hits, window.frames]")
    lost = sum(a != b for a, b in zip(pressed, hits, strict=False)) + abs(len(pressed) - len(hits))
    frames.sort()
    print(
        f"{MANY} devices speak every second: listed after {1000 * listed_s:.0f} ms; {lost} of {CLICKS} clicks lost; "
        f"frames p50 {frames[len(frames) // 2]:.0f} ms, p99 {frames[len(frames) * 99 // 100]:.0f} ms",
        flush=True,
    )


if __name__ == "__main__":
    main()
