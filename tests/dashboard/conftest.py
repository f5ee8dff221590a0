"""The whole server with a dashboard over it, and a browser to look with."""

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from brokers import running_broker
from pages import KEY, World, resize, use_theme
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from services import running_store

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1360,1060"
)

EXPECTED = re.compile(r"status of (401|502|503)|net::ERR_|ERR_EMPTY_RESPONSE")
"""What the browser itself logs of requests that fail because a test stops or freezes a process."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run the whole server with a dashboard for all tests of a file."""
    folder = tmp_path_factory.mktemp("world")
    with running_store(folder / "store") as store, running_broker(folder / "broker") as broker, ExitStack() as stack:
        yield World(folder, store, broker, stack)


@pytest.fixture
def world(running: World) -> World:
    """Return the server without a device."""
    running.forget()
    return running


@pytest.fixture
def page(world: World, browser: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """Log in, and at the end find that the browser had nothing to complain of and was nowhere else."""
    browser.delete_all_cookies()
    browser.get_log("browser")
    browser.get(f"{world.url}/login?key={KEY}")
    yield browser
    severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    browser.execute_script("localStorage.clear()")
    browser.get("about:blank")
    resize(browser, 0)
    use_theme(browser, "light")
    assert [name for name in loaded if not name.startswith(world.url)] == []
    assert [message for message in severe if not EXPECTED.search(message)] == []


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Run headless Chromium."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium and chromedriver are not installed (Debian: apt install chromium chromium-driver)")
    options = Options()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield chrome
    finally:
        chrome.quit()
