"""The whole way from store to browser for the tests of one module: REST, live events, dashboard, and a browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from brokers import free_port
from patience import REPLY_S
from records import DAY_MS, DEVICE, heard, reading, status
from rooms import OPERATOR, VIEWER, Room
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from services import RunningStore, running_store, wait_until

from broker.topics import mac_address
from server.store.redis_store import RedisStore

KEY = "key-of-the-tests"
OTHER = "0123456789ac"
MAC, OTHER_MAC = mac_address(DEVICE), mac_address(OTHER)
HOUR_MS, MINUTE_MS = 3_600_000, 60_000


class Watched:
    """A system whose store the test writes to, and the browser that looks at its page."""

    def __init__(self, store: RunningStore, page: str) -> None:
        self.store = RedisStore(store.url, 90 * DAY_MS, 730 * DAY_MS)
        self.store.prepare()
        self.store.heartbeat(3600)  # as if ingest ran
        self.page = page
        self._live_stream = self.store.live_stream
        self._seq = 0

    def remember(self) -> None:
        """Give two devices a past: Kitchen spoke in the last three hours, but not in the last one; Hall is offline."""
        now = self.store.now()
        start = now // HOUR_MS * HOUR_MS - 3 * HOUR_MS
        said: list[tuple[str, Any]] = [(DEVICE, status()), (OTHER, status(name="Hall", model="my-own-1"))]
        for minute in range((now - start) // MINUTE_MS):
            at = start + minute * MINUTE_MS
            talks = minute < 120
            for device in (DEVICE, OTHER):
                if talks:
                    said += [(device, reading(self._next(), at + 1000 * second)) for second in range(0, 60, 10)]
                counts = {"silent": 54, "speech": 6} if talks else {}
                said.append((device, heard(self._next(), at + MINUTE_MS, snr_db=20.0 if talks else None, **counts)))
        said.append((OTHER, status(name="Hall", model="my-own-1", state="offline", connection=2)))
        for place in range(0, len(said), 500):
            self.store.write(said[place : place + 500])

    def speak(self, **changes: Any) -> None:
        """Store and publish a reading of Kitchen as of now."""
        told = [(DEVICE, reading(self._next(), self.store.now(), **changes))]
        self.store.write(told)
        self._live_stream.add(told)
        self._live_stream.flush()

    def tell(self, device: str, *times: int) -> None:
        """Store a reading of a device at each time, Unix ms."""
        self.store.write([(device, reading(self._next(), at)) for at in times])

    def _next(self) -> int:
        self._seq += 1
        return self._seq


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """Run a store, REST, live events and the dashboard while the context lasts."""
    api, live, page = free_port(), free_port(), free_port()
    urls = {"api_url": f"http://127.0.0.1:{api}", "live_url": f"http://127.0.0.1:{live}"}
    with running_store(folder / "store") as store:
        access = {"redis_url": store.url, "viewer_token": VIEWER, "operator_token": OPERATOR}
        with (
            Room(folder, "server", "run", **access, api_port=api),
            Room(folder, "server", "live", **access, live_port=live),
            Room(folder, "dashboard", **urls, api_token=OPERATOR, dashboard_key=KEY, dashboard_port=page),
        ):
            system = Watched(store, f"http://127.0.0.1:{page}")
            for url in (f"http://127.0.0.1:{api}", f"http://127.0.0.1:{live}", system.page):
                wait_until(lambda url=url: _answers(f"{url}/livez"), f"{url} answers", 120)
            yield system


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=REPLY_S).ok
    except requests.RequestException:
        return False


class Page:
    """The dashboard in a browser, as a person sees it."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self.browser = browser
        self.url = url

    def log_in(self) -> None:
        """Open the page with the key."""
        self.browser.delete_all_cookies()
        self.browser.get_log("browser")
        self.browser.get(f"{self.url}/login?key={KEY}")

    def open(self, hash_: str) -> None:
        """Show an address anew."""
        self.browser.get("about:blank")
        self.browser.get(f"{self.url}/{hash_}")

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns."""
        return self.browser.execute_script(script, *arguments)  # type: ignore[no-untyped-call]

    def text(self, css: str) -> str:
        """Return what a person reads at a place; empty while it is not there."""
        script = "return Array.from(document.querySelectorAll(arguments[0]), each => each.innerText).join(' ')"
        return str(self.run(script, css))

    def attribute(self, css: str, name: str) -> str:
        """Return an attribute of the first element at a place; empty while it is not there."""
        return str(self.run("return document.querySelector(arguments[0])?.getAttribute(arguments[1]) ?? ''", css, name))

    def reads(self, css: str, words: str) -> None:
        """Wait until a place says words."""
        try:
            wait_until(lambda: words in self.text(css), f"{css} says {words!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it says {self.text(css)!r}; the page: {self.text('main')!r}") from None

    def click(self, css: str) -> None:
        """Click the first element at a place."""
        self.browser.find_element(By.CSS_SELECTOR, css).click()

    def axis(self) -> tuple[int, int]:
        """Return where the first chart's axis begins and ends, Unix ms."""
        start, end = (self.attribute(".plot", f"aria-value{edge}") or "0" for edge in ("min", "max"))
        return int(start), int(end)

    def hover(self, part: float, *, drag_to: float | None = None, place: int = 0) -> None:
        """Point at a chart, at a part of its width; with `drag_to`, press there and drag."""
        plot = self.browser.find_elements(By.CSS_SELECTOR, ".plot")[place]
        width = plot.size["width"]
        actions = ActionChains(self.browser).move_to_element_with_offset(plot, round((part - 0.5) * width), 0)
        if drag_to is not None:
            actions = actions.click_and_hold().move_by_offset(round((drag_to - part) * width), 0).release()
        actions.perform()

    def resize(self, width: int, height: int) -> None:
        """Look from a screen of another size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def complaints(self) -> list[str]:
        """Return what the browser has complained of since the last time."""
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]
