"""Everything that a device talks to, as an operator runs it: Mosquitto, the store, ingest and REST, in one folder."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any

import requests

from broker import embedded
from trials.processes import PASSWORD, running, running_store, wait_until

ROOT = Path(__file__).parent.parent
RECORDINGS = ROOT.parent / "shared" / "data" / "crema-d" / "audio"
"""Real recordings, where they are; they are no part of the project."""
TOKEN = "viewer-token-of-the-trial"


class Services:
    """What runs, and how to ask it."""

    ingest_pid: int
    redis_url: str

    def __init__(self, mqtt_port: int, api_port: int) -> None:
        self.mqtt_port = mqtt_port
        self.mqtt_url = f"mqtt://127.0.0.1:{mqtt_port}"
        self.api = f"http://127.0.0.1:{api_port}"

    def get(self, path: str, **query: float | str) -> Any:
        """Return the JSON that a viewer gets."""
        url = f"{self.api}/api/v1{path}"
        answer = requests.get(url, params=query, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def ready(self) -> bool:
        """Return whether store and ingest are both there."""
        return answers(f"{self.api}/readyz")

    def kept(self, device: str) -> tuple[int, int, int]:
        """Return how many records and readings of a device are stored in all its boots, and how many are missing.

        Readings are counted twice, by the device's counter and over the rollups of its days; a trial in which the two
        differ, as they would if a repeat was counted, ends.
        """
        start_s = time.time() - 2 * 86_400
        facts = self.get(f"/devices/{device}", start=start_s)
        summary = self.get(f"/devices/{device}/summary", start=start_s)
        counts = {facts["readings"], sum(facts["readings_per_step"]), summary["readings"]}
        if len(counts) != 1:
            raise SystemExit(f"the store counts the readings of {device} differently in different places: {counts}")
        return summary["completeness"]["received"], counts.pop(), summary["completeness"]["missing"]


@contextmanager
def serving(folder: Path, devices: Sequence[str]) -> Iterator[Services]:
    """Run all of it, with an account for each device, as long as the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    services = Services(_free_port(), _free_port())
    servers = [embedded.server_account(number) for number in (1, 2)]  # of ingest, and of a trial that listens
    accounts = dict.fromkeys([*servers, *devices], PASSWORD)
    start = embedded.prepare(folder / "broker", "127.0.0.1", services.mqtt_port, accounts)
    with (
        running(start.argv, folder / "broker.log"),
        running_store(folder / "store") as store,
        running(
            [sys.executable, "-m", "moodwire", "server", "ingest"],
            folder / "ingest.log",
            environment(
                mqtt_url=services.mqtt_url,
                redis_url=store.url,
                mqtt_username=embedded.SERVER_ACCOUNT,
                mqtt_password=PASSWORD,
            ),
        ) as ingest,
        running(
            [sys.executable, "-m", "moodwire", "server", "run"],
            folder / "rest.log",
            environment(redis_url=store.url, viewer_token=TOKEN, api_port=services.api.rpartition(":")[2]),
        ),
    ):
        services.ingest_pid, services.redis_url = ingest.pid, store.url
        wait_until(services.ready, f"store and ingest are ready; their logs are in {folder}")
        yield services


@contextmanager
def showing(folder: Path, services: Services) -> Iterator[str]:
    """Run live events and the dashboard over these services as long as the context lasts; yield what logs in there."""
    live, page, key = _free_port(), _free_port(), "key-of-the-trial"
    places = {"api_url": services.api, "live_url": f"http://127.0.0.1:{live}"}
    with (
        running(
            [sys.executable, "-m", "moodwire", "server", "live"],
            folder / "live.log",
            environment(redis_url=services.redis_url, viewer_token=TOKEN, live_port=live),
        ),
        running(
            [sys.executable, "-m", "moodwire", "dashboard"],
            folder / "dashboard.log",
            environment(**places, api_token=TOKEN, dashboard_key=key, dashboard_port=page),
        ),
    ):
        for port in (live, page):
            wait_until(partial(answers, f"http://127.0.0.1:{port}/livez"), f"port {port} answers; see {folder}")
        yield f"http://127.0.0.1:{page}/login?key={key}"


def answers(url: str) -> bool:
    """Return whether something at a URL answers that all is well."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def environment(**settings: object) -> dict[str, str]:
    """Return this process's environment with these settings in the place of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MOODWIRE_")}
    return inherited | {f"MOODWIRE_{name.upper()}": str(value) for name, value in settings.items()}


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
