"""Headless Chromium with an empty profile, and what it costs: `chromium` and `chromedriver` on PATH."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from trials.processes import wait_until
from trials.usage import cpu_s

FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --window-size=1440,900"
_WIRE = """
  const all = [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]
    .filter(entry => !entry.name.endsWith('/live'));
  return [all.length, all.reduce((sum, entry) => sum + entry.transferSize, 0)];
"""


class Browser:
    """A running browser.

    Args:
        chrome: Its driver.
        pid: Of the driver, whose children are all processes of the browser.
    """

    def __init__(self, chrome: webdriver.Chrome, pid: int) -> None:
        self.chrome = chrome
        self._pid = pid
        self.get = chrome.get

    def ask(self, script: str, *arguments: object) -> Any:
        """Return what a script on the page returns."""
        return self.chrome.execute_script(script, *arguments)

    def tell(self, command: str, **options: object) -> Any:
        """Return what a command of the DevTools protocol returns."""
        return self.chrome.execute_cdp_cmd(command, options)

    def wait(self, script: str, what: str) -> None:
        """Wait until a script on the page returns something."""
        wait_until(lambda: self.ask(script), what, 0.01)

    def forget(self) -> None:
        """Leave the page, and empty the cache."""
        self.get("about:blank")
        self.tell("Network.clearBrowserCache")

    def on_the_wire(self) -> tuple[int, float]:
        """Return how many requests the page has made, and their kilobytes with headers."""
        count, size = self.ask(_WIRE)
        return count, size / 1000

    def cpu_s(self) -> float:
        """Return the processor time of all its processes, its driver included."""
        children: dict[int, list[int]] = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue  # it has ended
            children.setdefault(parent, []).append(int(status.parent.name))
        found, waiting = 0.0, [self._pid]
        while waiting:
            each = waiting.pop()
            try:
                found += cpu_s(each)
            except OSError:
                continue
            waiting += children.get(each, [])
        return found

    def share(self, seconds: float) -> float:
        """Return what it uses for so long, percent of a core."""
        before_s, start_s = self.cpu_s(), time.monotonic()
        time.sleep(seconds)
        return 100 * (self.cpu_s() - before_s) / (time.monotonic() - start_s)


@contextmanager
def running_browser(profile: Path) -> Iterator[Browser]:
    """Run Chromium as long as the context lasts.

    Args:
        profile: A folder for what it keeps; a new one for an empty cache and processor time of its own.
    """
    options = Options()
    for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    service = Service(shutil.which("chromedriver"))
    chrome = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(chrome, service.process.pid)
    finally:
        chrome.quit()
