"""A store with readings, the REST API and the dashboard over it, and a browser to look with."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from brokers import free_port
from pages import KEY, World
from rooms import OPERATOR, VIEWER, Rest, Room
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from services import RunningStore, wait_until

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1360,1060"
)


@pytest.fixture
def world(redis_store: RunningStore, tmp_path: Path) -> Iterator[World]:
    """Run REST and dashboard over an empty store."""
    rest, page_port, live_port = Rest(free_port()), free_port(), free_port()
    place = {"live_url": f"http://127.0.0.1:{live_port}", "dashboard_port": page_port}
    page = f"http://127.0.0.1:{page_port}"
    api = {"redis_url": redis_store.url, "viewer_token": VIEWER, "operator_token": OPERATOR}
    with (
        Room(tmp_path, "server", "run", **api, api_port=rest.url.rpartition(":")[2]) as server,
        Room(tmp_path, "dashboard", api_url=rest.url, api_token=VIEWER, dashboard_key=KEY, **place) as dashboard,
    ):
        wait_until(lambda: _answers(f"{page}/livez") and _answers(f"{rest.url}/livez"), "both serve")
        yield World(redis_store, (rest, server), dashboard, page, live_port)


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


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False
